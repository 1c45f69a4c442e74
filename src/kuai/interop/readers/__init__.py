"""Reading other systems' files: `recognise` tells which reader a file needs."""
