// Command counterfoil is the auth server and the tools to run it.
//
// "counterfoil serve" needs no configuration: it makes its database and its
// sealing key in the data directory. "counterfoil serve --demo" adds three users
// and a sample service. This command is the only place of the module that reads
// flags and the environment.
//
// Data goes to standard output, everything else to standard error. It exits with
//
//	0    all went well; also a server that was told to stop by SIGTERM
//	1    the work failed
//	2    called wrongly
//	3    the configuration is invalid
//	4    the store or the server cannot be reached
//	5    not found, or denied
//	130  interrupted
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/config"
)

type program struct {
	Serve  serveCommand `cmd:"" help:"Run the auth server."`
	Config struct {
		Check configCheck `cmd:"" help:"Say what is wrong or dangerous about a configuration."`
		Print configPrint `cmd:"" help:"Print each setting and where its value comes from."`
	} `cmd:"" help:"Settings."`
	User struct {
		Add     userAdd     `cmd:"" help:"Add a user; the password is read from standard input."`
		List    userList    `cmd:"" help:"List users."`
		Show    userShow    `cmd:"" help:"Show a user."`
		Disable userDisable `cmd:"" help:"Disable a user and end its sessions."`
		Enable  userEnable  `cmd:"" help:"Let a disabled user sign in again."`
		Roles   userRoles   `cmd:"" help:"Set the roles of a user."`
		Invite  userInvite  `cmd:"" help:"Print an invitation to choose a password."`
		Delete  userDelete  `cmd:"" help:"End everything of a user, and forget it."`
		Import  userImport  `cmd:"" help:"Add users with the password hashes that they had elsewhere."`
	} `cmd:"" help:"Users."`
	Session struct {
		List   sessionList   `cmd:"" help:"List the sessions of a user."`
		Show   sessionShow   `cmd:"" help:"Show a session."`
		Revoke sessionRevoke `cmd:"" help:"Revoke a session, or all of a user, a client or everybody."`
	} `cmd:"" help:"Sessions."`
	Key struct {
		List   keyList   `cmd:"" help:"List the signing keys."`
		Rotate keyRotate `cmd:"" help:"Sign with another key, once verifiers have had 15 minutes to fetch it."`
		Revoke keyRevoke `cmd:"" help:"Refuse everything that a signing key has signed."`
		Create keyCreate `cmd:"" help:"Make an API key and print it, once."`
	} `cmd:"" help:"Signing keys, and making API keys."`
	Apikey struct {
		Create keyCreate    `cmd:"" help:"Make an API key and print it, once."`
		List   apiKeyList   `cmd:"" help:"List API keys."`
		Delete apiKeyDelete `cmd:"" help:"Make an API key void."`
	} `cmd:"" help:"API keys."`
	Audit auditList `cmd:"" help:"List security events, newest first."`
	Token struct {
		Decode tokenDecode `cmd:"" help:"Show what a token says, unverified."`
		Verify tokenVerify `cmd:"" help:"Check a signed token with the issuer's keys."`
		Lint   tokenLint   `cmd:"" help:"Name what is wrong or unwise about a token."`
	} `cmd:"" help:"Tokens, offline."`
	Doctor struct {
		Check  doctorCheck  `cmd:"" default:"withargs" help:"Check an installation and say what to do; the default."`
		Cookie doctorCookie `cmd:"" help:"Say whether a browser would send a cookie."`
	} `cmd:"" help:"Find out what is wrong."`
	Migrate migrateCommand `cmd:"" help:"Move everything to another store; nobody is signed out."`
	Hash    hashCommand    `cmd:"" hidden:"" help:"Compute password hashes for a server, which starts this by itself."`
	Prove   proveCommand   `cmd:"" help:"Hold a server to the revocation contract, under faults."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// Exit codes, as the package comment lists them.
const (
	exitFailure     = 1
	exitUsage       = 2
	exitConfig      = 3
	exitUnreachable = 4
	exitDenied      = 5
	exitInterrupted = 130
)

// What a command's error may be, to exit with another code than 1; see usageError.
var (
	errUnreachable = errors.New("cannot be reached")
	errDenied      = errors.New("not found or denied")
)

// usageError is a call that cannot be meant, as the commands themselves find it.
type usageError string

func (e usageError) Error() string { return string(e) }

// misuse says what was wrong about a call. Its hint is the command's --help, unless
// the text has one.
func misuse(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var interrupted atomic.Bool
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		interrupted.Store(<-signals == os.Interrupt)
		cancel()
		<-signals // whoever asks twice does not want to wait
		os.Exit(exitInterrupted)
	}()

	var p program
	exited, code := false, 0 // --help ends the parse by this hook
	parser, err := kong.New(&p, kong.Name("counterfoil"),
		kong.Description("Sessions and JWTs, revoked at once."),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 80}), kong.ValueFormatter(withDefault),
		kong.Exit(func(c int) { exited, code = true, c }))
	if err != nil {
		return report(err)
	}
	command, err := parser.Parse(asMeant(args))
	if exited {
		return code
	}
	if err != nil {
		return report(misuse("%s\nhint: counterfoil %s", inWords(err), helpFor(err)))
	}
	command.BindTo(ctx, (*context.Context)(nil))
	err = command.Run(flagsOf(command))
	if wrong := usageError(""); errors.As(err, &wrong) && !strings.Contains(err.Error(), "\nhint: ") {
		err = misuse("%v\nhint: counterfoil %s --help", err, nameOf(command))
	}
	if interrupted.Load() {
		if err != nil && !errors.Is(err, context.Canceled) {
			report(err)
		}
		return exitInterrupted
	}
	return report(err)
}

// report prints err and returns the code to exit with.
func report(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintf(os.Stderr, "counterfoil: %v\n", err)
	var invalid config.Invalid
	var wrong usageError
	switch {
	case errors.As(err, &invalid):
		return exitConfig
	case errors.As(err, &wrong):
		return exitUsage
	case errors.Is(err, errUnreachable), errors.Is(err, api.ErrUnreachable):
		return exitUnreachable
	case errors.Is(err, errDenied):
		return exitDenied
	}
	switch answered(err) {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return exitUnreachable
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return exitDenied
	}
	return exitFailure
}

// asMeant lets "counterfoil --version" and "counterfoil help user" say what those who
// try them first expect.
func asMeant(args []string) []string {
	switch {
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	case len(args) > 0 && args[0] == "help":
		return append(args[1:], "--help")
	}
	return args
}

// inWords says what the parser could not make sense of.
func inWords(err error) string {
	text := err.Error()
	var parse *kong.ParseError
	if !errors.As(err, &parse) || parse.Context == nil {
		return text
	}
	if flag, rest, ok := strings.Cut(text, ": expected "); ok && strings.HasSuffix(rest, "(<EOL>)") {
		return flag + " needs a value"
	}
	if flag, wanted, ok := strings.Cut(text, ": expected duration but got "); ok {
		wanted, _, _ = strings.Cut(wanted, ": ")
		return flag + " is " + wanted + ": want a duration such as 10s, 5m or 24h"
	}
	if wanted, ok := strings.CutPrefix(text, "expected "); ok {
		if strings.HasPrefix(wanted, "one of ") {
			return strings.TrimSpace("no command after counterfoil "+nameOf(parse.Context)) + ": want " + wanted
		}
		return nameOf(parse.Context) + " needs " + strings.ReplaceAll(wanted, `"`, "")
	}
	return text
}

// helpFor names the command that was called wrongly, as far as it is known.
func helpFor(err error) string {
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		return strings.TrimSpace(nameOf(parse.Context) + " --help")
	}
	return "--help"
}

// nameOf is the command without its arguments.
func nameOf(command *kong.Context) string {
	name, _, _ := strings.Cut(command.Command(), " <")
	return name
}

// withDefault is a flag's help with its default.
func withDefault(v *kong.Value) string {
	if !v.HasDefault || v.IsBool() {
		return v.Help
	}
	return v.Help + " Default: " + strings.TrimSuffix(v.Default, ".") + "."
}

// flagsOf returns the flags that were on the command line.
func flagsOf(command *kong.Context) given {
	flags := given{}
	for _, step := range command.Path {
		if step.Flag != nil && !step.Resolved {
			flags[step.Flag.Name] = true
		}
	}
	return flags
}
