"""`helio demo`: whole sites on this machine, a real data set, and a comparison of every entry at every site."""
