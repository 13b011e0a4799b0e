"""Feedback through forms and the API."""

import re

PATH = "/incidents/paid_not_reserved-1"


def send(client, **fields: str):
    token = re.search(r'name="form_token" value="([^"]+)"', client.get(PATH).text).group(1)
    return client.post(f"{PATH}/feedback", data={"form_token": token, **fields})


def test_a_form_keeps_a_word_on_the_incident_and_shows_it_escaped(client) -> None:
    answer = send(client, verdict="wrong_cause", by="Li", cause="payment", note="<b>see</b> the gateway")
    assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
    page = client.get(PATH).text
    assert "it was payment" in page
    assert "&lt;b&gt;see&lt;/b&gt; the gateway" in page
    assert "原因有误" in client.get(f"{PATH}?lang=zh").text


def test_the_console_shows_the_precision_of_each_playbook(client) -> None:
    send(client, verdict="right", by="Li")
    page = client.get("/playbooks?lang=en").text
    assert "100 % (1 of 1)" in page
    assert "准确率" in client.get("/playbooks?lang=zh").text
    assert client.get("/playbooks?days=x").status_code == 400


def test_a_form_without_its_token_or_with_nonsense_changes_nothing(client) -> None:
    assert client.post(f"{PATH}/feedback", data={"verdict": "right", "by": "Li"}).status_code == 400
    assert send(client, verdict="maybe", by="Li").status_code == 400
    assert client.get(f"/api/v1{PATH}").get_json()["feedback"] == []


def test_the_api_takes_it_with_json_alone(client) -> None:
    path = f"/api/v1{PATH}/feedback"
    assert client.post(path, data={"verdict": "right", "by": "Li"}).status_code == 400
    assert (
        client.post(path, json={"verdict": "right", "by": "Li"}).get_json()["feedback"][0]["verdict"]
        == "right"
    )
    refused = client.post(path, json={"verdict": "right", "by": "Li", "cause": "wms"})
    assert refused.status_code == 400
    assert "wrong_cause" in refused.get_json()["detail"]
    assert client.post("/api/v1/incidents/none-1/feedback", json={"verdict": "right"}).status_code == 404
    (stats,) = [
        each
        for each in client.get("/api/v1/playbooks/stats").get_json()["playbooks"]
        if each["playbook"] == "paid_not_reserved"
    ]
    assert (stats["right"], stats["precision"]) == (1, 1.0)


def test_behind_a_token_nobody_else_may_judge(locked) -> None:
    client = locked.client()
    assert client.post(f"/api/v1{PATH}/feedback", json={"verdict": "right", "by": "Li"}).status_code == 401
    assert client.post(f"{PATH}/feedback", data={"verdict": "right", "by": "Li"}).status_code in (302, 400)
    assert locked.service.store.incident("paid_not_reserved-1").value.feedback == ()
