import io.github.stepcreds.StepShell

// withStepcreds('migrate') { sh './migrate.sh' }: each `sh` of the block has a credential of its own. See the .txt.
Object call(Map options = [:], String profile, Closure body) {
  return withToken(options) {
    body.delegate = new StepShell(this, profile)
    // The block's `sh` is StepShell's; every other step is Jenkins', and has no credential.
    body.resolveStrategy = Closure.DELEGATE_FIRST
    body()
  }
}

// For post { always { … } }: ends what a killed step of this build left.
Object revoke(Map options = [:]) {
  return withToken(options) {
    sh 'stepcreds revoke --all'
  }
}

private Object withToken(Map options, Closure body) {
  String id = options.credentialsId ?: 'vault-id-token'
  return withCredentials([string(credentialsId: id, variable: 'VAULT_ID_TOKEN')]) {
    body()
  }
}
