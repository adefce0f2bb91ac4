"""Options of ``hubbub fetch`` that say what is fetched, and how politely."""

from __future__ import annotations

from typing import Annotated

import typer


def print_recipes(value: bool) -> None:
    """Print every recipe that comes with hubbub, and one of them whole, and stop."""
    if not value:
        return
    from importlib.resources import files

    from hubbub.downloads.recipe import list_recipes

    from .console import reporter

    for name, recipe in list_recipes().items():
        reporter.say(f"{name}: {recipe.about}\n    {recipe.example}")
    text = (files("hubbub.downloads") / "recipes" / "city-sounds.yaml").read_text("utf-8")
    reporter.say("\ncity-sounds.yaml, to begin your own with:\n\n" + text)
    raise typer.Exit


Recipe = Annotated[
    str | None,
    typer.Option(
        help="How the site is read: a name of --recipes, or a YAML file. Default for an address: directory-listing.",
        metavar="NAME|FILE",
    ),
]
Recipes = Annotated[
    bool,
    typer.Option("--recipes", callback=print_recipes, is_eager=True, help="List the recipes, with one of them whole."),
]
UrlColumn = Annotated[
    str | None,
    typer.Option(help="Column of a table that holds the addresses. Default: the one that does.", metavar="NAME"),
]
Host = Annotated[
    list[str] | None,
    typer.Option(
        help="A further host that links and redirects may lead to, such as cdn.example.org or '*.example.org'; repeat "
        "for more.",
        metavar="HOST",
    ),
]
AllowPrivate = Annotated[
    bool, typer.Option("--allow-private", help="Allow hosts of the local network, such as localhost or 10.0.0.7.")
]
Contact = Annotated[
    str | None,
    typer.Option(help="Your e-mail address or page, told to the hosts, so that they can reach you.", metavar="TEXT"),
]
Rate = Annotated[
    float, typer.Option(help="Requests a second to one host, at most; robots.txt may ask for fewer.", metavar="N")
]
Connections = Annotated[int, typer.Option(help="Files of one host that are fetched at once.", metavar="N")]
MaxFiles = Annotated[int | None, typer.Option("--max-files", min=1, help="Fetch N files at most.", metavar="N")]
MaxPages = Annotated[int, typer.Option("--max-pages", min=1, help="Read N pages of a site at most.", metavar="N")]
MaxFileGb = Annotated[float, typer.Option("--max-file-gb", help="Refuse larger files.", metavar="GIB")]
MaxTotalGb = Annotated[
    float | None, typer.Option("--max-total-gb", min=0.0, help="Fetch no more than this in one run.", metavar="GIB")
]
MaxHours = Annotated[
    float | None, typer.Option("--max-hours", min=0.0, help="Begin no further file after this time.", metavar="H")
]
KeepFreeGb = Annotated[
    float, typer.Option("--keep-free-gb", help="Stop while so much of the disk is still free.", metavar="GIB")
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Ask for recordings that are here, too; fetch those that changed.")
]
