"""What people see: the pages, and the files that they are made of.

A page is made on the server from typed elements (`markup`), so that nothing of a guest's name or a
neighbour's answer can become markup; `shell` puts the document around it, with the one security policy of
all pages. Scripts are hand-written ES modules without a build step and never write HTML either (Trusted
Types hold them to it). `files` serves `bayd/web/static` from memory under a name that changes with its
contents. Texts are in catalogues, `static/i18n/PAGE.LANGUAGE.json`, with the same keys in every language.
"""
