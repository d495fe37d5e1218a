// /watch/{id}
import './controls.js';
import { one } from './page.js';
import { Stage } from './stage.js';

new Stage(one('[data-player]'));
