// /live while nothing is on air: goes to the broadcast the moment it starts.
import { listen, one } from './page.js';

listen(one('[data-waiting]').dataset.events, { live: ({ url }) => { if (url) location.replace(url); } });
