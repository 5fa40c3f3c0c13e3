package main

import (
	"net/url"

	"github.com/counterfoil/counterfoil/internal/config"
	"github.com/counterfoil/counterfoil/internal/secret"
	"github.com/counterfoil/counterfoil/internal/urls"
	"github.com/counterfoil/counterfoil/mail"
)

// mailSettings are those of the mails that the server sends.
type mailSettings struct {
	Mail          string        `name:"mail" placeholder:"URL" help:"Where mails are handed over: smtp://USER@HOST:587 (STARTTLS), smtps://USER@HOST:465, or log to write them to the log, for development. Empty: no mail is sent." want:"mail"`
	MailPassword  secret.String `kong:"-" name:"mail-password" help:"Password of the user that mail names."`
	MailFrom      string        `name:"mail-from" placeholder:"ADDRESS" help:"Sender of the mails: an address, or a name and <address>. Without a name it is that of the product." want:"sender"`
	MailReplyTo   string        `name:"mail-reply-to" placeholder:"ADDRESS" help:"Where answers to the mails go. Empty: the mails say that nobody reads them." want:"sender"`
	MailRootCAs   string        `name:"mail-root-cas" type:"path" placeholder:"FILE" help:"Certificates (PEM) that may have signed that of the mail server. Empty: those of the system." want:"certificates"`
	MailSignIn    bool          `name:"mail-sign-in" negatable:"" help:"Let users sign in by a code that is mailed to an address which they have confirmed."`
	MailPlaintext bool          `name:"mail-insecure-plaintext" negatable:"" help:"Send mails without encryption if the server offers none: everybody on the way reads the codes and links in them."`
}

func mailKinds() map[string]func(text string) error {
	optional := func(check func(string) error) func(string) error {
		return func(text string) error {
			if text == "" {
				return nil
			}
			return check(text)
		}
	}
	return map[string]func(text string) error{
		"mail": optional(mail.CheckURL), "sender": optional(mail.CheckSender), "certificates": optional(mail.CheckRoots),
	}
}

// check applies the rules of the mail settings.
func (c *mailSettings) check(v *config.Verdict) {
	u, err := url.Parse(c.Mail)
	if err != nil {
		return // the setting has that problem already
	}
	if c.Mail == "" {
		for _, other := range []struct {
			key string
			set bool
		}{
			{"mail_password", c.MailPassword.Reveal() != ""}, {"mail_from", c.MailFrom != ""}, {"mail_reply_to", c.MailReplyTo != ""},
			{"mail_root_cas", c.MailRootCAs != ""}, {"mail_sign_in", c.MailSignIn}, {"mail_insecure_plaintext", c.MailPlaintext},
		} {
			if other.set {
				v.Warn(other.key, "has no effect: mail is not set", "set mail to the URL of the server that takes mails")
			}
		}
		return
	}
	if c.MailFrom == "" {
		v.Refuse("mail_from", "is not set, and mail is", "set it to the address that mails come from")
	}
	switch {
	case mail.IsLog(c.Mail):
		v.Danger("mail", "is log: mails are not sent, and the log has their codes and links", "for development only")
	case c.MailPlaintext && u.Scheme == "smtp" && !urls.Loopback(u.Host):
		v.Danger("mail_insecure_plaintext", "sends mails to another machine without encryption if that offers none", "leave it out, and have the mail server offer STARTTLS")
	case c.MailPlaintext && u.Scheme == "smtps":
		v.Warn("mail_insecure_plaintext", "has no effect: smtps:// is always encrypted", "")
	}
	if user := u.User.Username(); user == "" && c.MailPassword.Reveal() != "" {
		v.Warn("mail_password", "has no effect: mail names no user", "write smtp://USER@HOST:587")
	} else if user != "" && c.MailPassword.Reveal() == "" {
		v.Refuse("mail_password", "is not set, and mail names a user", "put it into a file, and name that in "+envPrefix+"MAIL_PASSWORD_FILE")
	}
}

// options are those of package mail.
func (c *mailSettings) options() mail.Options {
	return mail.Options{
		URL: c.Mail, Password: c.MailPassword, From: c.MailFrom, ReplyTo: c.MailReplyTo, RootCAs: c.MailRootCAs, InsecurePlaintext: c.MailPlaintext,
	}
}
