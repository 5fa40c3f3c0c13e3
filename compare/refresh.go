package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/counterfoil/counterfoil"
	"github.com/counterfoil/counterfoil/compare/plain"
	"github.com/counterfoil/counterfoil/internal/api"
)

var refreshGroup = group{
	id: "refresh", rows: []string{"refresh", "refresh-reads", "refresh-writes"}, about: "cost of a refresh",
	cost: func(b *bench) time.Duration {
		return time.Duration(b.Rounds*len(b.all)) * refreshes * 4 * time.Millisecond
	},
	run: runRefresh,
}

// refreshes is how often a credential is renewed in a round.
const refreshes = 5

// wanted is an error unless a request was answered with 200.
func wanted(status int, err error) error {
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("status %d", status)
	}
	return err
}

// renewal renews a credential of a contender.
type renewal func(ctx context.Context) error

func runRefresh(ctx context.Context, b *bench) error {
	if err := b.stage.open(ctx, 1); err != nil {
		return err
	}
	var renewed []Contender
	renewals, none := make(map[string]renewal), make(map[string]string)
	for _, c := range b.all {
		if c.ID == noCheck {
			continue
		}
		r, why, err := b.stage.renewal(ctx, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.ID, err)
		}
		if none[c.ID] = why; r != nil {
			renewals[c.ID] = r
			renewed = append(renewed, c)
		}
	}
	took, asked := series{}, make(map[string]Counts)
	err := b.inRounds(ctx, b.Rounds, renewed, func(c Contender, _ int) error {
		before, err := b.stage.look(ctx, c, b.stage.nodes[0])
		if err != nil {
			return err
		}
		var all []time.Duration
		for range refreshes {
			sent := time.Now()
			if err := renewals[c.ID](ctx); err != nil {
				return err
			}
			all = append(all, time.Since(sent))
		}
		after, err := b.stage.look(ctx, c, b.stage.nodes[0])
		if err != nil {
			return err
		}
		d := after.counts.minus(before.counts)
		asked[c.ID] = Counts{asked[c.ID].Reads + d.Reads, asked[c.ID].Writes + d.Writes}
		took.add(c.ID, microseconds(quantile(sorted(all), 0.5)))
		return nil
	})
	if err != nil {
		return err
	}
	const how = "one request after the other: a session gets another id, a token comes with another refresh token"
	row := Row{ID: "refresh", Group: "refresh", Title: "Refresh", Unit: "µs", Better: Less, How: how}
	reads := Row{ID: "refresh-reads", Group: "refresh", Title: "Store reads of a refresh", Unit: "reads", Better: Less, How: how + ". Counted at the store; ours with what the verifiers' following reads meanwhile."}
	writes := Row{ID: "refresh-writes", Group: "refresh", Title: "Store writes of a refresh", Unit: "writes", Better: Less, How: how + ". Counted at the store."}
	for _, c := range b.all {
		switch {
		case took[c.ID] != nil:
			row.Cells = append(row.Cells, measured(c.ID, took[c.ID]))
			reads.Cells = append(reads.Cells, perCheck(c, asked[c.ID].Reads, float64(refreshes*len(took[c.ID]))))
			writes.Cells = append(writes.Cells, perCheck(c, asked[c.ID].Writes, float64(refreshes*len(took[c.ID]))))
		case none[c.ID] != "":
			row.Cells = append(row.Cells, inWords(c.ID, none[c.ID]))
		}
	}
	b.add(row)
	b.add(reads)
	b.add(writes)
	return nil
}

// renewal returns how a contender renews a credential, or why it does not.
func (s *stage) renewal(ctx context.Context, c Contender) (r renewal, why string, err error) {
	node := s.nodes[0]
	switch {
	case c.Family == FamilySession:
		made, err := s.login(ctx, node, c, 5_000_000, 1, time.Hour)
		if err != nil {
			return nil, "", err
		}
		return s.renewSession(node, c, made[0].Field), "", nil
	case c.Family == FamilyJWT && c.Store == "":
		return nil, "as JWT ES256 with its store: a refresh token is in one", nil
	case c.Family == FamilyJWT:
		var token string
		if err := node.call(ctx, "Node.RefreshToken", c.Store, &token); err != nil {
			return nil, "", err
		}
		return s.renewToken(node, c, token), "", nil
	}
	carrier, _ := carrierOf(c.ID)
	if carrier.Format == counterfoil.Opaque {
		return nil, "none is needed: use renews it", nil
	}
	made, err := s.login(ctx, node, c, 5_000_000, refreshes*s.b.Rounds, time.Hour)
	if err != nil {
		return nil, "", err
	}
	return s.renewOurs(made), "", nil
}

// renewSession gives a session another id, which comes in a cookie.
func (s *stage) renewSession(node *nodeProcess, c Contender, field string) renewal {
	v := visit(node.address)
	return func(ctx context.Context) error {
		status, header, err := v.ask(ctx, prepared("POST", "/refresh/"+c.ID, field, "Content-Length: 0"))
		if err := wanted(status, err); err != nil {
			return err
		}
		cookies, err := http.ParseSetCookie(header.Get("Set-Cookie"))
		if err != nil {
			return err
		}
		field = c.field(cookies.Value)
		return nil
	}
}

// renewToken rotates a refresh token of a plain contender.
func (s *stage) renewToken(node *nodeProcess, c Contender, token string) renewal {
	v := visit(node.address)
	return func(ctx context.Context) error {
		status, header, err := v.ask(ctx, prepared("POST", "/refresh/"+c.ID, plain.RefreshHeader+": "+token, "Content-Length: 0"))
		if err := wanted(status, err); err != nil {
			return err
		}
		token = header.Get(plain.RefreshHeader)
		return nil
	}
}

// renewOurs calls POST /v1/refresh, once for each session: the server refuses to renew one all the time.
func (s *stage) renewOurs(made []Credential) renewal {
	client := &http.Client{Transport: &http.Transport{}}
	return func(ctx context.Context) error {
		body, err := json.Marshal(api.Refresh[string]{RefreshToken: made[0].Refresh, RefreshNonce: api.Nonce()})
		if err != nil {
			return err
		}
		made = made[1:]
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.at.URL+"/v1/refresh", bytes.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		answer, err := client.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err == nil && answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("refresh: %s %s", answer.Status, text)
		}
		return err
	}
}
