// The step itself: see python.mjs, and src/stepcreds/action/ for what it does.
import { run } from './python.mjs';

run('main');
