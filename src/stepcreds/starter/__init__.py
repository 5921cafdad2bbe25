"""A first stepcreds.yml and a first pipeline, by what is found in a repository; nothing is asked or overwritten."""
