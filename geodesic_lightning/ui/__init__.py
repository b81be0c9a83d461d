"""A page to morph in: pictures in, film out, by ordinary runs of the command line.

    wish.py       what is asked for on the page, as words of a command line
    pictures.py   uploaded pictures, put into a run's folder
    job.py        one run, a process of its own
    desk.py       jobs, one at a time
    look.py       what a run has to show, while it is solved and afterwards
    page.py       the page, by Gradio
    style.py      what it looks like

Only page.py and what starts it, __main__.py, know Gradio.
"""
