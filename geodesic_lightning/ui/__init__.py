"""A page to morph in: pictures in, film out, by ordinary runs of the command line.

    wish.py       what is asked for on the page, as words of a command line
    pictures.py   uploaded pictures, put into a run's folder
    job.py        one run, a process of its own
    desk.py       jobs, one at a time
    order.py      a wish becomes a job
    look.py       what a run has to show, while it is solved and afterwards
    view.py       a job in words and HTML
    examples.py   the shipped pairs, to click on
    page.py       the page, by Gradio
    style.py      what it looks like
    launch.py     it is served

Only page.py and launch.py know Gradio.
"""
