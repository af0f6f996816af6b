"""`mechdyn app`: a local page to type a needle and a question, watch heads as they fire, and switch them off.

Dash (extra `app`) serves it. It is made by plotly's makers: the figures of `mechdyn.views` show as they are, and a click on a cell of one
comes back as a value, which Gradio's plots do not offer. Its scripts lie in the package, so no page asks the network.
"""
