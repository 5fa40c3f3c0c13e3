// Command counterfoil is the auth server and the tools to run it.
//
// "counterfoil serve" needs no configuration: it makes its database and its
// sealing key in the data directory. "counterfoil serve --demo" adds three users
// and a sample service. This command is the only place of the module that reads
// flags and the environment.
//
// Data goes to standard output, everything else to standard error. The exit codes are
//
//	0    success; also of a server that SIGTERM stopped
//	1    the command failed
//	2    the command was called wrongly
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
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/config"
)

type program struct {
	Serve   serveCommand   `cmd:"" help:"Run the auth server."`
	Gateway gatewayCommand `cmd:"" help:"Check requests for services, behind a proxy."`
	Monitor monitorCommand `cmd:"" help:"Watch endpoints, and say when one is down."`
	Config  struct {
		Check configCheck `cmd:"" help:"Print what is wrong or dangerous about a configuration."`
		Init  configInit  `cmd:"" help:"Write a configuration file with each setting, its default and its unit, as comments."`
		Print configPrint `cmd:"" help:"Print each setting and where its value comes from."`
	} `cmd:"" help:"Settings."`
	User struct {
		Add     userAdd     `cmd:"" help:"Add a user; the password is typed, or comes from standard input."`
		List    userList    `cmd:"" help:"List users, or search them."`
		Show    userShow    `cmd:"" help:"Show a user."`
		Disable userDisable `cmd:"" help:"Disable a user and end its sessions."`
		Enable  userEnable  `cmd:"" help:"Let a disabled user sign in again."`
		Roles   userRoles   `cmd:"" help:"Set the roles of a user."`
		Address userAddress `cmd:"" help:"Set where mail for a user goes."`
		Invite  userInvite  `cmd:"" help:"Print or mail an invitation to choose a password: good for 24 hours, or for 15 minutes if the user has one."`
		EndUndo userEndUndo `cmd:"" help:"Void the links with which an earlier mail address of a user comes back."`
		Delete  userDelete  `cmd:"" help:"End the sessions of a user, and delete the user."`
		Import  userImport  `cmd:"" help:"Add users with their password hashes from another program."`
	} `cmd:"" help:"Users."`
	Client struct {
		List   clientList   `cmd:"" help:"List the registered clients."`
		Show   clientShow   `cmd:"" help:"Show a client."`
		Set    clientSet    `cmd:"" help:"Register a client, or change what is named."`
		Delete clientDelete `cmd:"" help:"End all sessions of a client, and forget it."`
	} `cmd:"" help:"Clients: the programs that people sign in to."`
	Session struct {
		List   sessionList   `cmd:"" help:"List sessions of a user, or of all users."`
		Show   sessionShow   `cmd:"" help:"Show a session."`
		Revoke sessionRevoke `cmd:"" help:"Revoke a session, or all sessions of a user, of a client or of all users."`
	} `cmd:"" help:"Sessions."`
	Key struct {
		List   keyList   `cmd:"" help:"List the signing keys."`
		Rotate keyRotate `cmd:"" help:"Make a new key, which signs once verifiers have had 15 minutes to fetch it."`
		Revoke keyRevoke `cmd:"" help:"Refuse every token that a signing key has signed."`
		Create keyCreate `cmd:"" help:"Make an API key and print it, once."`
	} `cmd:"" help:"Signing keys; also makes API keys."`
	Apikey struct {
		Create keyCreate    `cmd:"" help:"Make an API key and print it, once."`
		List   apiKeyList   `cmd:"" help:"List API keys."`
		Delete apiKeyDelete `cmd:"" help:"Delete an API key."`
	} `cmd:"" help:"API keys."`
	Audit struct {
		List   auditList   `cmd:"" default:"withargs" help:"List security events, newest first; the default."`
		Verify auditVerify `cmd:"" help:"Find out whether anybody has changed the audit trail."`
	} `cmd:"" help:"The audit trail: security events."`
	Mail struct {
		Test      mailTest      `cmd:"" help:"Send a mail now, and print how far that goes."`
		List      mailList      `cmd:"" help:"List mails that could not be sent, or those that wait."`
		Redeliver mailRedeliver `cmd:"" help:"Send again what could not be sent."`
		Drop      mailDrop      `cmd:"" help:"Delete what could not be sent."`
	} `cmd:"" help:"Mails, and what else the server sends."`
	Revoke    revokeCommand    `cmd:"" help:"Revoke all sessions that the flags name, by client, device, address and more; count them first."`
	Verifiers verifiersCommand `cmd:"" help:"List the verifiers that follow the server, and how fresh each is."`
	Token     struct {
		Decode  tokenDecode  `cmd:"" help:"Print what a token says, without verifying it."`
		Verify  tokenVerify  `cmd:"" help:"Verify a signed token with the keys of the issuer."`
		Lint    tokenLint    `cmd:"" help:"Print what is wrong or unwise about a token."`
		Sign    tokenSign    `cmd:"" help:"Sign claims, for tests."`
		Encrypt tokenEncrypt `cmd:"" help:"Encrypt a signed token, for tests."`
		Decrypt tokenDecrypt `cmd:"" help:"Decrypt a token, without verifying what is in it."`

		Inspector tokenInspector `cmd:"" help:"Print the inspector, a page that does all this in a browser."`
	} `cmd:"" help:"Tokens, offline."`
	Doctor struct {
		Check  doctorCheck  `cmd:"" default:"withargs" help:"Check an installation and print what to do; the default."`
		Cookie doctorCookie `cmd:"" help:"Print whether a browser would send a cookie."`
	} `cmd:"" help:"Find out what is wrong with an installation."`
	Backup     backupCommand     `cmd:"" help:"Copy a SQLite store to a new file, also while a server runs."`
	Migrate    migrateCommand    `cmd:"" help:"Move everything to another store; no user is signed out."`
	Hash       hashCommand       `cmd:"" hidden:"" help:"Compute password hashes for a server, which starts this command."`
	Man        manCommand        `cmd:"" hidden:"" help:"Print the manual page."`
	Completion completionCommand `cmd:"" help:"Print a script that completes commands and flags in a shell."`
	Compare    compareCommand    `cmd:"" help:"Measure JWT against session on this machine and on your store."`
	Choose     chooseCommand     `cmd:"" help:"Recommend carriers, lifetimes, store and policies for your system, and write a configuration."`
	Prove      proveCommand      `cmd:"" help:"Hold a server to the revocation contract, under faults."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
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

// exitCodes are the meanings of the codes below exitInterrupted, by code.
var exitCodes = []string{
	"success; also of a server that SIGTERM stopped", "the command failed", "the command was called wrongly",
	"the configuration is invalid", "the store or the server cannot be reached", "not found, or denied",
}

// Errors of commands with an exit code of their own. See also usageError and answered.
var (
	errUnreachable = errors.New("cannot be reached")
	errDenied      = errors.New("not found or denied")
)

// usageError is a wrong call that the parser of flags cannot see.
type usageError string

func (e usageError) Error() string { return string(e) }

// misuse returns a usageError. If the text has no hint, run adds the --help of the command.
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
		<-signals // the second signal: do not wait for the command
		os.Exit(exitInterrupted)
	}()

	if err := refuseCredentials(args); err != nil && args[0] != completeName {
		return report(err)
	}
	var p program
	exited, code := false, 0 // --help ends the parse by this hook
	parser, err := kong.New(&p, kong.Name("counterfoil"),
		kong.Description("Sessions and JWTs, revoked at once."),
		kong.ConfigureHelp(kong.HelpOptions{WrapUpperBound: 80}), kong.ValueFormatter(withDefault), kong.PostBuild(ownDefaults),
		kong.Exit(func(c int) { exited, code = true, c }))
	if err != nil {
		return report(err)
	}
	if len(args) > 0 && args[0] == completeName {
		complete(os.Stdout, parser.Model, args[1:])
		return 0
	}
	command, err := parser.Parse(asMeant(args))
	if exited {
		return code
	}
	if err != nil {
		text := inWords(err)
		if !strings.Contains(text, "\nhint: ") {
			text += "\nhint: counterfoil " + helpFor(err)
		}
		return report(usageError(text))
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

// asMeant accepts "counterfoil --version" and "counterfoil help user", which many programs have.
func asMeant(args []string) []string {
	switch {
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	case len(args) > 0 && args[0] == "help":
		return append(args[1:], "--help")
	}
	return args
}

// inWords is an error of the parser in our words.
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
	if strings.HasPrefix(text, "unexpected argument ") && parse.Context.Selected() != nil {
		// The text is not repeated: behind a name it may be a password.
		if group := groupOf(parse.Context); group != nil {
			return fmt.Sprintf("%s has no such command: want one of %s\nhint: counterfoil %[1]s --help", group.Path(), strings.Join(commandsOf(group), ", "))
		}
		name := nameOf(parse.Context)
		if name == "user add" {
			return name + " takes fewer arguments\nhint: the password is typed at the prompt, or comes from standard input"
		}
		return name + " takes fewer arguments"
	}
	if wanted, ok := strings.CutPrefix(text, "expected "); ok {
		if strings.HasPrefix(wanted, "one of ") {
			return strings.TrimSpace("no command after counterfoil "+nameOf(parse.Context)) + ": want " + wanted
		}
		return nameOf(parse.Context) + " needs " + strings.ReplaceAll(wanted, `"`, "")
	}
	return text
}

// groupOf is the group of commands that was called without the name of one of them; nil if a command was named.
func groupOf(c *kong.Context) *kong.Node {
	n := c.Selected()
	if len(n.Children) > 0 {
		return n
	}
	if n.Parent.DefaultCmd == n && !slices.Contains(c.Args, n.Name) {
		return n.Parent
	}
	return nil
}

func commandsOf(group *kong.Node) (names []string) {
	for _, n := range group.Children {
		if !n.Hidden {
			names = append(names, n.Name)
		}
	}
	return names
}

// helpFor returns the arguments that print the help of the wrongly called command.
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

// ownDefaults gives the flags of a program's settings the defaults that package config has for them.
func ownDefaults(parser *kong.Kong) error {
	return kong.Visit(parser.Model, func(at kong.Visitable, next kong.Next) error {
		node, is := at.(*kong.Node)
		if !is || !node.Target.CanAddr() {
			return next(nil)
		}
		settings, is := node.Target.Addr().Interface().(interface{ loader() *config.Settings })
		if !is {
			return next(nil)
		}
		for _, s := range settings.loader().All() {
			for _, flag := range node.Flags {
				if flag.Name == s.Flag() {
					flag.Default = s.Default()
				}
			}
		}
		return next(nil)
	})
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
