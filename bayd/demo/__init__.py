"""The demo: reference services, a simulated range, `bayd run`, and an evening played through public doors.

`range_process` is the simulated range with its observer, `script` the evening, `books` the comparison,
`stage` what starts and stops the processes, `live` the running table.
"""
