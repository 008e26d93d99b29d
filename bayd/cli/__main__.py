from bayd.cli.main import main

main(prog_name="bayd")
