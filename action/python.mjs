// Becomes the Python half of the Action, isolated. Node is gone then: its environment, which has the job's identity, could be read by the script. It knows nothing of credentials.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const LAUNCHER = path.join(path.dirname(fileURLToPath(import.meta.url)), 'launch.py');
const ISOLATED = ['-I', '-S'];
// Signals wait from the first instruction on, until there is somebody to handle them: compiling the launcher alone takes milliseconds (src/stepcreds/action/install.py has the same line).
const START = "import _signal as s,sys;s.pthread_sigmask(s.SIG_BLOCK,(s.SIGHUP,s.SIGINT,s.SIGQUIT,s.SIGTERM));del sys.argv[0];__file__=sys.argv[0];exec(compile(open(__file__,'rb').read(),__file__,'exec'))";
// Where env is GNU's (coreutils 8.31), from before: an interrupt of the interpreter's own start is a traceback too.
const HOLDING = ['/usr/bin/env', '--block-signal=HUP,INT,QUIT,TERM'];
const TOO_OLD = 'import sys; sys.exit(sys.version_info < (3, 10))';

// What bends an interpreter or its libraries (launch.py says why these). An earlier step may have set it for the script, so the script gets it back: see config/environment.py.
const PREFIXES = /^(LD_|_?PYTHON|OPENSSL_|MALLOC_)/;
const NAMES = /^(GCONV_PATH|GETCONF_DIR|GLIBC_TUNABLES|HOSTALIASES|LOCALDOMAIN|LOCPATH|NIS_PATH|NLSPATH|RESOLV_HOST_CONF|RES_OPTIONS|TZDIR|SSLKEYLOGFILE)$/;

// Ours to say alone: an earlier step may have written them to GITHUB_ENV.
const OURS = ['STEPCREDS_WITHHELD', 'STEPCREDS_MATRIX'];

// What execve(2) takes of one variable (MAX_ARG_STRLEN); process.execve aborts with a dump where it is more.
const LONGEST = 128 * 1024;

// What the runner gives to actions and not to a `run:` step; stepcreds itself has no use for it while a step runs.
const ACTIONS_ONLY = ['ACTIONS_CACHE_URL', 'ACTIONS_CACHE_SERVICE_V2', 'ACTIONS_RESULTS_URL'];

function fail(title, text) {
  const escape = (value) => value.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
  process.stderr.write(`::error title=${escape(title).replace(/:/g, '%3A').replace(/,/g, '%2C')}::${escape(text)}\n`);
  process.exit(125);
}

// How to start Python: the system's own before any that an earlier step may have put on PATH.
function python() {
  const onPath = (process.env.PATH ?? '').split(path.delimiter).filter(path.isAbsolute).map((folder) => path.join(folder, 'python3'));
  const candidates = ['/usr/bin/python3', '/usr/local/bin/python3', ...onPath].filter((file) => existsSync(file));
  const starts = [...new Set(candidates)].flatMap((file) => [[...HOLDING, file], [file]]);
  const fit = starts.find(([first, ...rest]) => spawnSync(first, [...rest, ...ISOLATED, '-c', TOO_OLD], { env: {}, stdio: 'ignore' }).status === 0);
  if (fit) return fit;
  const found = candidates.length ? `What there is (${candidates.join(', ')}) is older, or does not start.` : 'There is none in /usr/bin, in /usr/local/bin, or on PATH.';
  return fail(
    'stepcreds: no Python 3.10 or newer',
    `${found}\nOn a runner of your own, install python3. In a job with container: choose an image that has it, or use the stepcreds.pyz of a release with a Python that you add (docs/install.md).`,
  );
}

/** Runs `stepcreds action STAGE` in this process's place: the runner's signals and its exit code are Python's then. */
export function run(stage) {
  if (process.platform !== 'linux') {
    fail('stepcreds: this runner is not supported', `stepcreds runs on Linux only, and this is ${process.platform}: elsewhere it cannot promise that nothing of a step survives it.\nUse runs-on: ubuntu-latest for the steps that need a credential.`);
  }
  if (!process.execve) {
    fail('stepcreds: the Node of this runner is too old', `It is ${process.version}, which cannot be replaced by another program (process.execve, Node 22.15); what it was given for the job's identity would be open to the script.\nUpdate the runner: node24 comes with actions/runner 2.327.1.`);
  }
  const environment = {};
  const withheld = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (PREFIXES.test(name) || NAMES.test(name)) withheld[name] = value;
    else if (!OURS.includes(name) && (stage !== 'main' || !ACTIONS_ONLY.includes(name))) environment[name] = value;
  }
  if (Object.keys(withheld).length) environment.STEPCREDS_WITHHELD = JSON.stringify(withheld);
  if (environment.INPUT_MATRIX && environment.INPUT_MATRIX !== 'null') environment.STEPCREDS_MATRIX = environment.INPUT_MATRIX;
  if (OURS.some((name) => Buffer.byteLength(`${name}=${environment[name] ?? ''}`) >= LONGEST)) {
    fail('stepcreds: too much in the environment', `The job's matrix, or the variables LD_*, PYTHON* and their like together, are longer than ${LONGEST} bytes, which is all that Linux hands over in one variable.\nMake them shorter: look at what earlier steps write to GITHUB_ENV.`);
  }
  const start = python();
  process.execve(start[0], [...start, ...ISOLATED, '-c', START, LAUNCHER, 'action', stage], environment);
}
