// Written by `stepcreds init`. Lines that say `change` are yours to look at.
// https://github.com/stepcreds/stepcreds/blob/v1/docs/identity.md#jenkins
//
// change: with the plugin "OpenID Connect Provider", add to the folder of this job a credential of the kind "OpenID
// Connect id token" with the id vault-id-token and the audience <<address>>
// Its token names the job, not the stage. Where the verification must not be able to log in for DDL, make it a job of
// its own in another folder, and bind Vault's roles to the jobs' names (sub).
pipeline {
  // change: an image with what your migrations need, and Python 3.10 or newer.
  agent { docker { image 'python:3.13' } }
  options { disableConcurrentBuilds() }
  stages {
    // Before the credential exists: what is installed here never sees it.
    stage('Install') {
      steps {
        sh '''
          python -m venv .venv
          . .venv/bin/activate
          pip install --quiet '<<package>>'
          <<setup_lines>>
        '''
      }
    }
    stage('Migrate') {
      when { branch '<<branch_name>>' }
      steps {
        withCredentials([string(credentialsId: 'vault-id-token', variable: 'VAULT_ID_TOKEN')]) {
          // exec: the signal of an aborted build reaches stepcreds instead of the shell.
          <<migrate_says>>
          sh '''
            . .venv/bin/activate
            <<broken_migrate>>
          '''
        }
      }
    }
    stage('Verify') {
      when { branch '<<branch_name>>' }
      steps {
        withCredentials([string(credentialsId: 'vault-id-token', variable: 'VAULT_ID_TOKEN')]) {
          <<verify_says>>
          sh '''
            . .venv/bin/activate
            <<broken_verify>>
          '''
        }
      }
    }
  }
  post {
    // What a killed build left behind is ended here.
    always {
      withCredentials([string(credentialsId: 'vault-id-token', variable: 'VAULT_ID_TOKEN')]) {
        sh '.venv/bin/stepcreds revoke --all'
      }
      // The ledger, which holds no secret.
      archiveArtifacts artifacts: '.stepcreds/*.jsonl', allowEmptyArchive: true
    }
  }
}
