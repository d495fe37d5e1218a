// /keys
