// Command counterfoil is the auth server and the tools to run it.
//
// "counterfoil serve" needs no configuration: it makes its database and its
// sealing key in the data directory. "counterfoil serve --demo" adds two users
// and a sample service. This command is the only place of the module that reads
// flags, environment and files.
//
// It exits with 0 when all went well, 1 when the work failed and 2 when it was
// called wrongly.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type program struct {
	Serve serveCommand `cmd:"" help:"Run the auth server."`
	User  struct {
		Add userAdd `cmd:"" help:"Add a user; the password is read from standard input."`
	} `cmd:"" help:"Users."`
	Key struct {
		Create keyCreate `cmd:"" help:"Make an API key and print it, once."`
	} `cmd:"" help:"API keys."`
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))

	var p program
	exited, code := false, 0 // --help ends the parse by this hook
	parser, err := kong.New(&p, kong.Name("counterfoil"),
		kong.Description("Sessions and JWTs, revoked at once."), kong.UsageOnError(),
		kong.Exit(func(c int) { exited, code = true, c }))
	if err != nil {
		fmt.Fprintf(os.Stderr, "counterfoil: %v\n", err)
		return 1
	}
	command, err := parser.Parse(args)
	if exited {
		return code
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "counterfoil: %v\nhint: counterfoil --help\n", err)
		return 2
	}
	command.BindTo(ctx, (*context.Context)(nil))
	if err := command.Run(log); err != nil {
		fmt.Fprintf(os.Stderr, "counterfoil: %v\n", err)
		return 1
	}
	return 0
}
