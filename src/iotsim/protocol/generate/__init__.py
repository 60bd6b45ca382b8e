"""Generated codecs: Python source that is made from the nodes of a schema, and executed once.

`compiler`     puts the functions together and executes them
`decode`       what decodes each kind of node, by means of `reading`: runs of fixed fields, the position
`encode`       what encodes each kind of node, by means of `writing`: runs, parts, lengths known late
`expressions`  ``this`` expressions as source
`source`       lines, names, values and scopes: the material
`runtime`      what generated code calls

A node that no function knows, or a place where it cannot do, raises `source.UnsupportedError`; the whole
message is then left to construct, unless the node is closed (`iotsim.protocol.lower`): never is a context
made for a function of the schema that is not construct's own. ``iotsim protocols show NAME --codec``
prints what came of it.
"""
