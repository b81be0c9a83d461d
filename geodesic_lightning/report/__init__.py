"""Pages to look at: report.html of one run, index.html of many. Each is one file that needs no network.

    charts.py       curves as inline SVG, in the colours of the page
    run_page.py     one run
    sweep_page.py   a sweep
    templates/      what they look like

Beside them the files that every run leaves: files.py, run_settings.py, curves.py, clip_report.py; terminal.py is
what is said on a terminal.
"""
