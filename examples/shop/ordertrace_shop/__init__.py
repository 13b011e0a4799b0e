"""The demo shop: five services with their own ids, their own databases and their own logging habits.

`storefront` takes an order, has it paid (`payment`), has the stock deducted (`inventory`) and releases it to the
warehouse (`wms`), which hands the parcel to the `carrier`. Each is a process of its own:
`python -m ordertrace_shop.inventory --port 5003 --data /tmp/shop`.

Nothing in here is scripted to fail. `ordertrace demo` starts the shop and buys from it.
"""
