// /tv
