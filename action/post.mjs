// The end of the job: nothing that stepcreds issued in it may be left alive.
import { run } from './python.mjs';

run('post');
