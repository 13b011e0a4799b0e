"""Why are these orders stuck: the affected against healthy ones that passed the same stage."""
