package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Letter is an item of the outbox. It does not show what is delivered, or to which address.
type Letter struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`              // mail, and others
	Lane    string    `json:"lane,omitempty"`    // destination, of a kind with several
	About   string    `json:"about,omitempty"`   // what it is
	Subject string    `json:"subject,omitempty"` // whose account it is about
	Created time.Time `json:"created"`
	Due     time.Time `json:"due,omitzero"`     // of one that waits: when it is tried
	Expires time.Time `json:"expires,omitzero"` // it is of no use after that
	Tries   int       `json:"tries"`
	Reason  string    `json:"reason,omitempty"` // of the last failure
	Died    time.Time `json:"died,omitzero"`    // when it was given up; absent: it waits
	Expired bool      `json:"expired"`          // it cannot be delivered again
}

// Outbox answers GET /v1/admin/outbox.
type Outbox struct {
	Letters []Letter  `json:"letters"`
	Waiting int       `json:"waiting"` // exact up to 10,000, as Dead
	Dead    int       `json:"dead"`
	Oldest  time.Time `json:"oldest,omitzero"` // when the oldest was made that waits
	Next    string    `json:"next,omitempty"`
	Named
}

// OneLetter answers GET /v1/admin/outbox/{id}.
type OneLetter struct {
	Letter Letter `json:"letter"`
	Named
}

// Letters returns what waits, or the dead letters, newest first. An error ends them.
func (c *Client) Letters(ctx context.Context, waiting bool) iter.Seq2[Letter, error] {
	query := url.Values{}
	if waiting {
		query.Set("state", "waiting")
	}
	all := pagesOf(ctx, c, "/v1/admin/outbox", query, func(page Outbox) string { return page.Next })
	return each(all, func(page Outbox) []Letter { return page.Letters })
}

// Redeliver has a dead letter delivered again.
func (c *Client) Redeliver(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, letterPath(id)+"/redeliver", nil, nil)
}

// DropLetter deletes a dead letter.
func (c *Client) DropLetter(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, letterPath(id), nil, nil)
}

func letterPath(id string) string { return "/v1/admin/outbox/" + url.PathEscape(id) }
