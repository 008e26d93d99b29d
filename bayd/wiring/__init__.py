"""The daemon put together: with `bayd.devices` the only place that names every concrete class.

`daemon` goes from the start to the stop and says what builds what. `driven` is what the bays drive
(`readers`, `dispensers`, `central`, `qod`), `web` what people see and press, `warnings` what the status warns
of; `journal` and `waiting_room` are for the time until the disk takes writes.
"""
