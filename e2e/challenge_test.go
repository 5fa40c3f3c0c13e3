package e2e_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/clients"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/login"
	"github.com/counterfoil/counterfoil/rights"
	"github.com/counterfoil/counterfoil/server"
	"github.com/counterfoil/counterfoil/store/memory"
)

// word is a second step that asks for a word.
type word string

func (word) Name() string { return "word" }

func (word) After(context.Context, login.Attempt) (*login.Challenge, error) {
	return &login.Challenge{Public: map[string]string{"prompt": "The word of today"}}, nil
}

func (word) Begin(context.Context, login.Attempt) (login.Step, error) {
	return login.Step{}, login.ErrRefused // it is a second step only
}

func (w word) Finish(ctx context.Context, a login.Attempt) (login.Step, error) {
	var in struct {
		Answer string `json:"answer"`
	}
	if err := a.Read(&in); err != nil {
		return login.Step{}, err
	}
	account, err := a.Account(ctx)
	if err != nil {
		return login.Step{}, err
	}
	if in.Answer != string(w) {
		return login.Step{}, login.ErrRefused
	}
	return login.Step{Proof: account.Prove("kba", "mfa")}, nil
}

// The pages of a program that embeds the server with a second step: a wrong answer, a right
// one, and the account page that shows what another client holds of the session.
func TestSecondStepInABrowser(t *testing.T) {
	t.Parallel()
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			var auth *server.Embedded
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { auth.ServeHTTP(w, r) }))
			defer web.Close()
			var err error
			auth, err = server.Open(t.Context(), server.Config{
				Store: memory.New(), URL: web.URL, Methods: []login.Method{word("heron")}, InsecureHashes: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer auth.Close()
			if err := auth.AddUser(t.Context(), "alice", "blue kettle under the stairs"); err != nil {
				t.Fatal(err)
			}

			b := newAxedBrowser(t, l)
			begin := func() {
				b.do(chromedp.Navigate(web.URL+"/login"),
					chromedp.SendKeys(chromedp.CSS("#identifier"), "alice"), chromedp.SendKeys(chromedp.CSS("#password"), "blue kettle under the stairs\r"))
				b.until(`document.querySelector("label[for=answer]")?.textContent === "The word of today"`)
			}
			begin()
			b.inspect("challenge-" + l.name)
			b.tabThrough("challenge")
			b.do(chromedp.SendKeys(chromedp.CSS("#answer"), "crane\r"))
			b.until(`document.querySelector("[role=alert]")`)
			b.expected()
			b.inspect("challenge-wrong-" + l.name)

			begin()
			b.do(chromedp.SendKeys(chromedp.CSS("#answer"), "heron\r"))
			b.until(`document.querySelectorAll(".sessions li").length > 0`)
			lend(t, auth, "alice", "reports")
			b.do(chromedp.Navigate(web.URL + "/"))
			b.until(`document.querySelector(".sessions").textContent.includes("reports")`)
			b.inspect("account-grants-" + l.name)
			b.tabThrough("account with grants")
		})
	}
}

// lend gives a client a grant of each session of a user.
func lend(t *testing.T, auth *server.Embedded, user, client string) {
	t.Helper()
	act := audit.Act{By: audit.ByLocal}
	if err := auth.Issuer().Clients().Set(t.Context(), rights.Owner(), client, act, func(c *clients.Client) {}); err != nil {
		t.Fatal(err)
	}
	u, err := auth.Users().ByIdentifier(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := auth.Issuer().Sessions(t.Context(), u.ID, "", 0)
	if err != nil || len(rows) == 0 {
		t.Fatalf("%s has %d sessions, %v", user, len(rows), err)
	}
	for _, row := range rows {
		if _, err := auth.Issuer().AddGrant(t.Context(), row.ID, issuer.Request{Client: client, Carrier: counterfoil.CarrierBearer, Act: act}); err != nil {
			t.Fatal(err)
		}
	}
}
