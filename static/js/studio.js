// /studio
