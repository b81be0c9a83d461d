"""Pages to look at: report.html of one run, index.html of many. Each is one file that needs no network.

charts.py   curves as inline SVG, in the colours of the page
run.py      one run
index.py    a sweep
templates/  what they look like
"""
