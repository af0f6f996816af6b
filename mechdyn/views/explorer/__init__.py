"""The explorer's page: `pack` lays out the data, `page` puts it into the HTML, the scripts read and draw it."""
