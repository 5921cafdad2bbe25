import groovy.json.JsonOutput

// Runs the lines of each pipeline in args[1] and after it with Jenkins' shared library of args[0] and stand-ins for
// Jenkins' own steps; prints as JSON what these were asked for, a line a pipeline. Groovy alone: that Jenkins runs it
// step by step (CPS) is not seen here.
Map play(String library, String lines) {
  List calls = []
  GroovyClassLoader loader = new GroovyClassLoader(this.class.classLoader)
  loader.addClasspath(new File(library, 'src').path)
  Script step = (Script) loader.parseClass(new File(library, 'vars/withStepcreds.groovy')).newInstance()

  Map steps = [
    sh: { argument -> calls << [step: 'sh', arguments: argument]; 'what sh returned' },
    echo: { argument -> calls << [step: 'echo', arguments: argument] },
    error: { String message -> throw new IllegalStateException(message) },
    string: { Map argument -> argument },
    withCredentials: { List bindings, Closure body -> calls << [step: 'withCredentials', arguments: bindings]; body() },
  ]
  def define = { Script script -> steps.each { name, stand -> script.metaClass."${name}" = stand } }
  define(step)
  Script pipeline = (Script) loader.parseClass(lines).newInstance()
  define(pipeline)
  pipeline.metaClass.withStepcreds = { Object[] arguments -> step.invokeMethod('call', arguments) }
  pipeline.binding = new Binding([withStepcreds: step])

  Map result = [:]
  try {
    result.returned = pipeline.run()?.toString()
  } catch (IllegalStateException problem) {
    result.error = problem.message
  }
  // Jenkins keeps what is between two steps on its disk.
  new ObjectOutputStream(new ByteArrayOutputStream()).writeObject(
    loader.loadClass('io.github.stepcreds.StepShell').newInstance(null, 'migrate'))
  return result + [calls: calls]
}

args.tail().each { lines -> println JsonOutput.toJson(play(args[0], lines)) }
