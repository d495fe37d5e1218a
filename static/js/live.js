// /live
