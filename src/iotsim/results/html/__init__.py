"""``report.html``: what a run was like, in one file that needs nothing else.

`data` is the way from the lines of ``events.jsonl`` to one document of plain data, which the page embeds.
The lines are read twice. The first time, everything is counted, and of each message a few numbers are kept
(`index`, `rows`, `naming`); from these come the charts (`charts`, `over_time`, `marks`), the fleet map
(`fleet`), what the run came to (`told`) and the choice of messages that are kept whole (`choice`), in
`table`s. The second time, only those are decoded again (`second`, `messages`). So memory grows by about 60
bytes a message, and the document not beyond its bounds, however long the run.

Everything is made from events alone and the same each time; bytes of messages, which events do not have,
come from the capture (`captured`) or from the protocol's codec, and say so (`raw`).

`page` makes the page of that document, from the template, the styles and the scripts in ``page/``. The
scripts share one scope; in ``run.js`` is how the document is packed, so that no other knows, and the rest are
one part of the page each.

Alternatives considered, for the charts: uPlot, of whose packages one has no repository and one needs IPython
and NumPy; plotly, of 4.8 MB; Bokeh, whose page loads its scripts. There are lines over time, and bars below
them on the same axis: 200 lines of SVG, which follow the theme by themselves, are as sharp on paper, and can
be read by those who do not see them.
"""
