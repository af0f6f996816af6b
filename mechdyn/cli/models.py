"""`mechdyn models`."""

from mechdyn.cli.app import app


@app.command()
def models() -> None:
    """List the models that have a short name."""
    from mechdyn.models.registry import list_models

    for listing in list_models():
        print(f"{listing.name:16} {listing.source:38} {listing.about}")
    print("Any local Hugging Face directory and any hub id (owner/name) of a decoder-only model can be given as well.")
