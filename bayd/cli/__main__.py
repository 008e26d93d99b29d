from bayd.cli.main import main

main()
