BEGIN TRANSACTION;
CREATE TABLE alert_attempts (
    position INTEGER PRIMARY KEY, key TEXT NOT NULL, document TEXT NOT NULL);
INSERT INTO "alert_attempts" VALUES(1,'2cc7eabda811bfc925b34000e162505e','{"key":"2cc7eabda811bfc925b34000e162505e","attempt":1,"at":1000000000000,"result":"ok","http_status":200,"provider_code":"","latency":16895,"body_sha256":"1e3ee34d6f060a4572272657a8efa41a0469b8aa9663b9b1f3c2641022026862","detail":"HTTP 200"}');
INSERT INTO "alert_attempts" VALUES(2,'4ecf6674f99d27d4b08e5ec0897218c2','{"key":"4ecf6674f99d27d4b08e5ec0897218c2","attempt":1,"at":1001000000000,"result":"permanent","http_status":404,"provider_code":"","latency":61011,"body_sha256":"997f5b41334600328ec9fae780fbd67b55da636078ce1dd349d4f121283a4b24","detail":"HTTP 404"}');
INSERT INTO "alert_attempts" VALUES(3,'2ba3c96ced2a9ba2afdb8eb53c9aa1da','{"key":"2ba3c96ced2a9ba2afdb8eb53c9aa1da","attempt":1,"at":1002000000000,"result":"retry","http_status":500,"provider_code":"","latency":8993,"body_sha256":"e9c3d476920c350da6fefeed61034fcc4928cc47e438c9a63c653f2af6e69416","detail":"HTTP 500"}');
CREATE TABLE alert_deliveries (
    key TEXT PRIMARY KEY, version INTEGER NOT NULL, group_id TEXT NOT NULL, flush INTEGER NOT NULL,
    part INTEGER NOT NULL, target TEXT NOT NULL, created_at INTEGER NOT NULL, state TEXT NOT NULL,
    next_attempt_at INTEGER NOT NULL, claimable_at INTEGER NOT NULL, hold_until INTEGER NOT NULL,
    finished_at INTEGER, document TEXT NOT NULL);
INSERT INTO "alert_deliveries" VALUES('2cc7eabda811bfc925b34000e162505e',3,'0c787f7441e610d128812b1b89d67ed4',1,0,'terminal',1000000000000,'sent',1000000000000,1000000000000,0,1000000000000,'{"key":"2cc7eabda811bfc925b34000e162505e","group":"0c787f7441e610d128812b1b89d67ed4","flush":1,"target":"terminal","part":0,"signals":["sent-1:1"],"title":"sent-1 opened","created_at":1000000000000,"body":"sent-1 opened","state":"sent","queued_at":1000000000000,"attempts":1,"next_attempt_at":1000000000000,"claimed_until":0,"hold_until":0,"finished_at":1000000000000,"detail":"HTTP 200"}');
INSERT INTO "alert_deliveries" VALUES('4ecf6674f99d27d4b08e5ec0897218c2',3,'96b37151b9136511eba6d8f66562a443',1,0,'terminal',1001000000000,'dead',1001000000000,1001000000000,0,1001000000000,'{"key":"4ecf6674f99d27d4b08e5ec0897218c2","group":"96b37151b9136511eba6d8f66562a443","flush":1,"target":"terminal","part":0,"signals":["dead-1:1"],"title":"dead-1 opened","created_at":1001000000000,"body":"dead-1 opened","state":"dead","queued_at":1001000000000,"attempts":1,"next_attempt_at":1001000000000,"claimed_until":0,"hold_until":0,"finished_at":1001000000000,"detail":"HTTP 404"}');
INSERT INTO "alert_deliveries" VALUES('2ba3c96ced2a9ba2afdb8eb53c9aa1da',3,'716830e9e5bd9ec44763a44c17af1e4e',1,0,'terminal',1002000000000,'pending',1007000000000,1007000000000,0,NULL,'{"key":"2ba3c96ced2a9ba2afdb8eb53c9aa1da","group":"716830e9e5bd9ec44763a44c17af1e4e","flush":1,"target":"terminal","part":0,"signals":["waits-1:1"],"title":"waits-1 opened","created_at":1002000000000,"body":"waits-1 opened","state":"pending","queued_at":1002000000000,"attempts":1,"next_attempt_at":1007000000000,"claimed_until":0,"hold_until":0,"finished_at":null,"detail":"HTTP 500"}');
CREATE TABLE alert_group_incidents (
    incident TEXT NOT NULL, group_id TEXT NOT NULL, PRIMARY KEY (incident, group_id)) WITHOUT ROWID;
INSERT INTO "alert_group_incidents" VALUES('sent-1','0c787f7441e610d128812b1b89d67ed4');
INSERT INTO "alert_group_incidents" VALUES('waits-1','716830e9e5bd9ec44763a44c17af1e4e');
INSERT INTO "alert_group_incidents" VALUES('dead-1','96b37151b9136511eba6d8f66562a443');
CREATE TABLE alert_groups (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, due_at INTEGER, flushed_at INTEGER NOT NULL,
    document TEXT NOT NULL);
INSERT INTO "alert_groups" VALUES('0c787f7441e610d128812b1b89d67ed4',3,15400000000000,1000000000000,'{"id":"0c787f7441e610d128812b1b89d67ed4","receiver":"terminal","labels":{"incident":"sent-1"},"group_interval":300000000000,"repeat_interval":14400000000000,"pending":{},"news_due_at":1000000000000,"flushing":null,"flushes":1,"flushed_at":1000000000000,"told":{"sent-1":{"signal":{"id":"sent-1:1","incident":"sent-1","number":1,"kind":"opened","status":"firing","at":1000000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"sent-1 opened","zh":"sent-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}},"at":1000000000000}}}');
INSERT INTO "alert_groups" VALUES('96b37151b9136511eba6d8f66562a443',3,15401000000000,1001000000000,'{"id":"96b37151b9136511eba6d8f66562a443","receiver":"terminal","labels":{"incident":"dead-1"},"group_interval":300000000000,"repeat_interval":14400000000000,"pending":{},"news_due_at":1001000000000,"flushing":null,"flushes":1,"flushed_at":1001000000000,"told":{"dead-1":{"signal":{"id":"dead-1:1","incident":"dead-1","number":1,"kind":"opened","status":"firing","at":1001000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"dead-1 opened","zh":"dead-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}},"at":1001000000000}}}');
INSERT INTO "alert_groups" VALUES('716830e9e5bd9ec44763a44c17af1e4e',3,15402000000000,1002000000000,'{"id":"716830e9e5bd9ec44763a44c17af1e4e","receiver":"terminal","labels":{"incident":"waits-1"},"group_interval":300000000000,"repeat_interval":14400000000000,"pending":{},"news_due_at":1002000000000,"flushing":null,"flushes":1,"flushed_at":1002000000000,"told":{"waits-1":{"signal":{"id":"waits-1:1","incident":"waits-1","number":1,"kind":"opened","status":"firing","at":1002000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"waits-1 opened","zh":"waits-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}},"at":1002000000000}}}');
CREATE TABLE alert_signals (
    position INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL,
    routed INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL);
INSERT INTO "alert_signals" VALUES(1,'sent-1:1',1000000000000,1,'{"id":"sent-1:1","incident":"sent-1","number":1,"kind":"opened","status":"firing","at":1000000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"sent-1 opened","zh":"sent-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}}');
INSERT INTO "alert_signals" VALUES(2,'dead-1:1',1001000000000,1,'{"id":"dead-1:1","incident":"dead-1","number":1,"kind":"opened","status":"firing","at":1001000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"dead-1 opened","zh":"dead-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}}');
INSERT INTO "alert_signals" VALUES(3,'waits-1:1',1002000000000,1,'{"id":"waits-1:1","incident":"waits-1","number":1,"kind":"opened","status":"firing","at":1002000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"waits-1 opened","zh":"waits-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}}');
INSERT INTO "alert_signals" VALUES(4,'came-1:1',1003000000000,0,'{"id":"came-1:1","incident":"came-1","number":1,"kind":"opened","status":"firing","at":1003000000000,"labels":{"severity":"critical","playbook":"paid_not_reserved"},"title":{"en":"came-1 opened","zh":"came-1"},"body":{"en":"guide"},"raw_body":{},"url":"","payload":{}}');
CREATE INDEX alert_signals_unrouted ON alert_signals (position) WHERE routed = 0;
CREATE INDEX alert_signals_at ON alert_signals (at);
CREATE INDEX alert_groups_due ON alert_groups (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX alert_group_incidents_group ON alert_group_incidents (group_id);
CREATE INDEX alert_deliveries_pending ON alert_deliveries (target, next_attempt_at, flush, part, key)
    WHERE state = 'pending';
CREATE INDEX alert_deliveries_hold ON alert_deliveries (target, hold_until)
    WHERE state = 'pending';
CREATE INDEX alert_deliveries_order ON alert_deliveries (group_id, target, flush, part)
    WHERE state = 'pending';
CREATE INDEX alert_deliveries_group ON alert_deliveries (group_id);
CREATE INDEX alert_deliveries_state ON alert_deliveries (state, created_at);
CREATE INDEX alert_deliveries_created ON alert_deliveries (created_at);
CREATE INDEX alert_attempts_key ON alert_attempts (key);
COMMIT;
