"""Read cache: responses of routes, invalidated after the commit of a change."""
