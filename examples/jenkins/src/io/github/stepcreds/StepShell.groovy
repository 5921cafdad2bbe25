package io.github.stepcreds

/**
 * What stands in the place of the pipeline's steps inside withStepcreds: its `sh` runs the script inside stepcreds.
 *
 * All of it may be interrupted and go on after a restart of Jenkins, so it holds nothing that cannot be serialized.
 */
class StepShell implements Serializable {

  private static final long serialVersionUID = 1

  private final Object steps
  private final String profile

  StepShell(Object steps, String profile) {
    this.steps = steps
    this.profile = profile
  }

  Object sh(Object arguments) {
    Map given = arguments instanceof Map ? [:] + arguments : [script: arguments]
    given.script = wrapped(given.script.toString())
    return steps.sh(given)
  }

  private String wrapped(String script) {
    // With a first line of its own, so that Jenkins does not echo it: the command's shell echoes the script, as usual.
    return "#!/bin/sh\nexec stepcreds exec ${quoted(profile)} -- ${shellOf(script)} -c ${quoted(script)}"
  }

  private String shellOf(String script) {
    if (!script.startsWith('#!')) {
      return 'sh -xe'
    }
    String shell = script.split('\n')[0].substring(2).trim()
    if (!(shell ==~ /[\w\/.-]*\b(env\s+)?(\w*\/)*(sh|bash|dash|ash|ksh|zsh)(\s+-[\w -]+)?/)) {
      steps.error("withStepcreds runs scripts of a shell, and this one begins with #!${shell}. " +
        'Put it into a file and call that.')
    }
    return shell
  }

  private String quoted(String text) {
    return "'" + text.replace("'", "'\\''") + "'"
  }

}
