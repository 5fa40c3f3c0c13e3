package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/keyring"
	"github.com/counterfoil/counterfoil/source"
)

// Client calls the API of one server. A method that gets an answer other than 2xx returns an
// [*Error], and one that gets none returns [ErrUnreachable].
type Client struct {
	URL string // of the server, without a slash at the end

	// Key is sent as a bearer credential: an API key, or an access token. Empty: none is
	// sent.
	Key string

	// Device is sent with a login, if it is not empty; a login that succeeds sets it. It is to
	// be kept as long as the account is used on this device, also when its session has ended.
	Device string

	// HTTP sends the requests: an [http.Client], or a server in the same process.
	HTTP interface {
		Do(r *http.Request) (*http.Response, error)
	}
}

// maxAnswer is larger than the largest answer: a page of 200 audit entries or users.
const maxAnswer = 16 << 20

// ErrUnreachable means that the server did not answer. It may or may not have done what the
// request asks for.
var ErrUnreachable = errors.New("cannot be reached")

// Login signs in with a password. Of one client it is not called by two goroutines at once.
func (c *Client) Login(ctx context.Context, body Login[string]) (answer Issued, err error) {
	if err := c.call(ctx, http.MethodPost, "/v1/login", body, &answer); err != nil {
		return Issued{}, err
	}
	if answer.Device != "" {
		c.Device = answer.Device
	}
	return answer, nil
}

// Refresh gets the next copy of a session.
func (c *Client) Refresh(ctx context.Context, body Refresh[string]) (answer Issued, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/refresh", body, &answer)
}

// Logout ends the session of the client's credential. One that is over already is no error.
func (c *Client) Logout(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, "/v1/logout", struct{}{}, nil)
}

// Redeem chooses a password with the token of an invitation.
func (c *Client) Redeem(ctx context.Context, token, password string) error {
	return c.call(ctx, http.MethodPost, "/v1/invitations", Redeem[string]{Token: token, Password: password}, nil)
}

// CreateSession makes a session of a subject that the caller has authenticated.
func (c *Client) CreateSession(ctx context.Context, body NewSession) (answer Issued, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/sessions", body, &answer)
}

// EndOthers ends all sessions of the owner of the client's credential but its own.
func (c *Client) EndOthers(ctx context.Context) (answer Receipt, err error) {
	return answer, c.call(ctx, http.MethodDelete, "/v1/sessions", nil, &answer)
}

// Session returns a session.
func (c *Client) Session(ctx context.Context, id string) (answer SessionRow, err error) {
	return answer, c.call(ctx, http.MethodGet, "/v1/admin/sessions/"+url.PathEscape(id), nil, &answer)
}

// Revoke writes an entry of the revocation log.
func (c *Client) Revoke(ctx context.Context, body Revocation) (answer Receipt, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/revocations", body, &answer)
}

// PlanRevocation counts what a revocation by filter would end.
func (c *Client) PlanRevocation(ctx context.Context, of SessionFilter) (answer RevocationPlan, err error) {
	filter, err := json.Marshal(of)
	if err != nil {
		return answer, err
	}
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/revocations", Revocation{Filter: filter, DryRun: true}, &answer)
}

// RevokeFound begins a revocation by filter, of which a plan was made. It ends at most atMost, if that is
// not zero.
func (c *Client) RevokeFound(ctx context.Context, of SessionFilter, token string, atMost int, reason string) (answer RevocationJob, err error) {
	filter, err := json.Marshal(of)
	if err != nil {
		return answer, err
	}
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/revocations", Revocation{Filter: filter, Token: token, AtMost: atMost, Reason: reason}, &answer)
}

// RevocationJob says how far a revocation by filter is.
func (c *Client) RevocationJob(ctx context.Context, id string) (answer RevocationJob, err error) {
	return answer, c.call(ctx, http.MethodGet, "/v1/admin/revocations/"+url.PathEscape(id), nil, &answer)
}

// WouldEnd counts what a revocation would end, page by page, until it has looked at all sessions
// or at pages of them. It reports more if there are sessions that it has not looked at.
func (c *Client) WouldEnd(ctx context.Context, scope source.Scope, id string, pages int) (sum Ending, more bool, err error) {
	query := url.Values{"scope": {string(scope)}}
	if id != "" {
		query.Set("id", id)
	}
	for page, err := range pagesOf(ctx, c, "/v1/admin/revocations", query, func(page Ending) string { return page.Next }) {
		if err != nil {
			return Ending{}, false, err
		}
		sum.Sessions, sum.Grants = sum.Sessions+page.Sessions, sum.Grants+page.Grants
		if pages--; pages == 0 {
			return sum, page.Next != "", nil
		}
	}
	return sum, false, nil
}

// Users returns all users, page by page. An error ends them.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] {
	return c.FindUsers(ctx, UserFilter{})
}

// FindUsers returns the users that f is for, page by page. An error ends them.
func (c *Client) FindUsers(ctx context.Context, f UserFilter) iter.Seq2[User, error] {
	all := pagesOf(ctx, c, "/v1/admin/users", f.Query(), func(page Users) string { return page.Next })
	return each(all, func(page Users) []User { return page.Users })
}

// FindSessions returns the sessions that f is for, page by page. An error ends them.
func (c *Client) FindSessions(ctx context.Context, f SessionFilter) iter.Seq2[FoundSessions, error] {
	return pagesOf(ctx, c, "/v1/admin/sessions", f.Query(), func(page FoundSessions) string { return page.Next })
}

// User returns a user.
func (c *Client) User(ctx context.Context, id string) (answer User, err error) {
	return answer, c.call(ctx, http.MethodGet, userPath(id), nil, &answer)
}

// CreateUser adds a user without a password, and an invitation to choose one.
func (c *Client) CreateUser(ctx context.Context, body NewUser) (answer Invited, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/users", body, &answer)
}

// ChangeUser changes a user.
func (c *Client) ChangeUser(ctx context.Context, id string, body ChangeUser) (answer User, err error) {
	return answer, c.call(ctx, http.MethodPatch, userPath(id), body, &answer)
}

// DeleteUser ends the sessions of a user and deletes the user.
func (c *Client) DeleteUser(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, userPath(id), nil, nil)
}

// EndUndos makes sure that a user keeps the address of now: what earlier ones were sent gives none of them back.
func (c *Client) EndUndos(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, userPath(id)+"/undos", nil, nil)
}

// Invite makes an invitation to choose another password.
func (c *Client) Invite(ctx context.Context, id string) (answer Invitation, err error) {
	return c.invite(ctx, id, nil)
}

// InviteByMail has an invitation mailed to the user.
func (c *Client) InviteByMail(ctx context.Context, id string) (answer Invitation, err error) {
	return c.invite(ctx, id, Invite{Mail: true})
}

func (c *Client) invite(ctx context.Context, id string, body any) (answer Invitation, err error) {
	return answer, c.call(ctx, http.MethodPost, userPath(id)+"/invitations", body, &answer)
}

// UserSessions returns all sessions of a subject, and the ids of those that cannot be read.
func (c *Client) UserSessions(ctx context.Context, subject string) (all []SessionRow, damaged []string, err error) {
	for page, err := range pagesOf(ctx, c, userPath(subject)+"/sessions", url.Values{}, func(page Sessions) string { return page.Next }) {
		if err != nil {
			return nil, nil, err
		}
		all, damaged = append(all, page.Sessions...), append(damaged, page.Damaged...)
	}
	return all, damaged, nil
}

// ImportUsers adds users with their password hashes. With dry it changes nothing. It returns
// a result for each user; with dry, the result that an import would have.
func (c *Client) ImportUsers(ctx context.Context, users []ImportUser, dry bool) ([]ImportResult, error) {
	body, answer := Import{DryRun: dry}, Imported{}
	for _, u := range users {
		data, err := json.Marshal(u)
		if err != nil {
			return nil, err
		}
		body.Users = append(body.Users, data)
	}
	err := c.call(ctx, http.MethodPost, "/v1/admin/users/import", body, &answer)
	if err == nil && len(answer.Results) != len(users) {
		err = errors.New("the server answered with another number of results")
	}
	return answer.Results, err
}

// SigningKeys returns the signing keys.
func (c *Client) SigningKeys(ctx context.Context) ([]keyring.Description, error) {
	var answer SigningKeys
	err := c.call(ctx, http.MethodGet, "/v1/admin/keys", nil, &answer)
	return answer.Keys, err
}

// RotateKey makes a new signing key, which signs as soon as verifiers know it. It returns the
// signing keys.
func (c *Client) RotateKey(ctx context.Context) ([]keyring.Description, error) {
	var answer SigningKeys
	err := c.call(ctx, http.MethodPost, "/v1/admin/keys/rotate", nil, &answer)
	return answer.Keys, err
}

// APIKeys returns the API keys, by id. An error ends them.
func (c *Client) APIKeys(ctx context.Context) iter.Seq2[APIKey, error] {
	all := pagesOf(ctx, c, "/v1/admin/apikeys", url.Values{}, func(page APIKeys) string { return page.Next })
	return each(all, func(page APIKeys) []APIKey { return page.Keys })
}

// APIKey returns an API key, without the key.
func (c *Client) APIKey(ctx context.Context, id string) (answer APIKey, err error) {
	return answer, c.call(ctx, http.MethodGet, "/v1/admin/apikeys/"+url.PathEscape(id), nil, &answer)
}

// CreateAPIKey makes an API key.
func (c *Client) CreateAPIKey(ctx context.Context, body NewAPIKey) (answer MadeAPIKey, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/apikeys", body, &answer)
}

// DeleteAPIKey makes an API key void.
func (c *Client) DeleteAPIKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/admin/apikeys/"+url.PathEscape(id), nil, nil)
}

// Clients returns all clients, by id. An error ends them.
func (c *Client) Clients(ctx context.Context) iter.Seq2[RegisteredClient, error] {
	all := pagesOf(ctx, c, "/v1/admin/clients", url.Values{}, func(page RegisteredClients) string { return page.Next })
	return each(all, func(page RegisteredClients) []RegisteredClient { return page.Clients })
}

// RegisteredClient returns a client.
func (c *Client) RegisteredClient(ctx context.Context, id string) (answer RegisteredClient, err error) {
	return answer, c.call(ctx, http.MethodGet, "/v1/admin/clients/"+url.PathEscape(id), nil, &answer)
}

// SetClient registers a client, or sets all of it anew.
func (c *Client) SetClient(ctx context.Context, id string, body ClientSettings) (answer RegisteredClient, err error) {
	return answer, c.call(ctx, http.MethodPut, "/v1/admin/clients/"+url.PathEscape(id), body, &answer)
}

// DeleteClient ends all sessions of a client and forgets it.
func (c *Client) DeleteClient(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/admin/clients/"+url.PathEscape(id), nil, nil)
}

// Events are the security events that Audit returns. What is empty or zero leaves nothing out.
type Events struct {
	Subject  string    // about this subject
	By       string    // by this actor, as audit.Entry.By has it
	Actions  []string  // with one of these actions
	Outcomes []string  // with one of these outcomes
	From     time.Time // not older
	To       time.Time // older than this
}

// Audit returns security events, page by page, newest first. An error ends them.
func (c *Client) Audit(ctx context.Context, of Events) iter.Seq2[audit.Entry, error] {
	return each(c.auditPages(ctx, of, ""), func(page AuditPage) []audit.Entry { return page.Entries })
}

// AuditTold is Audit, with which verifiers have the revocations.
func (c *Client) AuditTold(ctx context.Context, of Events) iter.Seq2[Told, error] {
	return each(c.auditPages(ctx, of, "true"), AuditPage.Told)
}

func (c *Client) auditPages(ctx context.Context, of Events, log string) iter.Seq2[AuditPage, error] {
	query := filled(map[string]string{
		"subject": of.Subject, "by": of.By, "action": strings.Join(of.Actions, ","), "outcome": strings.Join(of.Outcomes, ","),
		"from": moment(of.From), "to": moment(of.To), "log": log,
	})
	return pagesOf(ctx, c, "/v1/admin/audit", query, func(page AuditPage) string { return page.Next })
}

// Verifiers returns the verifiers that follow the server, in the order in which they came.
func (c *Client) Verifiers(ctx context.Context) iter.Seq2[Verifier, error] {
	all := pagesOf(ctx, c, "/v1/admin/verifiers", url.Values{}, func(page Verifiers) string { return page.Next })
	return each(all, func(page Verifiers) []Verifier { return page.Verifiers })
}

// moment is at as a query has it; empty if it is zero.
func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// VerifyAudit has the server compare the audit trail with its seals, and those with anchors.
func (c *Client) VerifyAudit(ctx context.Context, anchors []audit.Anchor) (answer audit.Verification, err error) {
	return answer, c.call(ctx, http.MethodPost, "/v1/admin/audit/verify", VerifyAudit{anchors}, &answer)
}

func userPath(id string) string { return "/v1/admin/users/" + url.PathEscape(id) }

// pagesOf returns the answers to GET path, page by page. next is the cursor of the page after one;
// empty: there is none. An error ends them.
func pagesOf[P any](ctx context.Context, c *Client, path string, query url.Values, next func(P) string) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		query := maps.Clone(query)
		query.Set("limit", "200")
		for {
			var page P
			if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
				yield(page, err)
				return
			}
			if !yield(page, nil) || next(page) == "" {
				return
			}
			query.Set("cursor", next(page))
		}
	}
}

// each returns what the pages hold, one by one.
func each[P, E any](pages iter.Seq2[P, error], of func(P) []E) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none E
				yield(none, err)
				return
			}
			for _, e := range of(page) {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

// call sends body as JSON, if it is not nil. It reads the answer into into, if that is not nil.
func (c *Client) call(ctx context.Context, method, path string, body, into any) error {
	r, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	res, err := c.HTTP.Do(r)
	if err != nil {
		return fmt.Errorf("server %w: %w", ErrUnreachable, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("server %w: %w", ErrUnreachable, err)
	}
	if res.StatusCode/100 != 2 {
		return ReadError(res.StatusCode, res.Header, answer)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("answer to %s %s: %w", method, r.URL.Path, err)
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var data []byte
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	if c.Device != "" {
		r.Header.Set(DeviceHeader, c.Device)
	}
	return r, nil
}
