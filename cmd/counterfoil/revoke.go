package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/internal/api"
)

type revokeCommand struct {
	placeFlags
	sureFlags
	User    string    `placeholder:"USER" help:"Sessions of this user."`
	Client  string    `placeholder:"CLIENT" help:"Sessions of this client, also those where it has only a grant."`
	Carrier string    `placeholder:"CARRIER" help:"Sessions with this carrier: cookie, bearer, jwt-cookie, jwe or jwe-cookie."`
	Address string    `placeholder:"ADDRESS" help:"Sessions from this address."`
	Device  string    `placeholder:"TEXT" help:"Sessions whose User-Agent has this text."`
	ACR     string    `name:"acr" placeholder:"ACR" help:"Sessions with this authentication context."`
	Since   time.Time `placeholder:"TIME" help:"Sessions that began at this time or later, such as 2026-11-30T12:00:00Z."`
	AtMost  int       `placeholder:"N" help:"End at most N sessions; needed if the dry run finds more than it counts."`
	Reason  string    `placeholder:"TEXT" help:"Why; it is kept in the audit trail."`
}

// watchEvery is how often a command asks how far a job is.
const watchEvery = 200 * time.Millisecond

// Run ends all sessions for which each flag holds. It counts them first.
func (c *revokeCommand) Run(ctx context.Context) error {
	f := api.SessionFilter{User: c.User, Client: c.Client, Carrier: c.Carrier, Address: c.Address, Device: c.Device, ACR: c.ACR, Since: c.Since}
	if f == (api.SessionFilter{}) {
		return misuse("name at least one of --user, --client, --carrier, --address, --device, --acr, --since\nhint: counterfoil session revoke --all ends all sessions of all users")
	}
	return c.with(ctx, func(a *admin) error {
		if f.User != "" {
			var err error
			if f.User, err = a.withSessions(ctx, f.User, false); err != nil {
				return fmt.Errorf("nothing is revoked: %w", err)
			}
		}
		planned, err := a.PlanRevocation(ctx, f)
		if err != nil {
			return err
		}
		if c.DryRun && c.JSON {
			return writeJSON(os.Stdout, planned)
		}
		if planned.MoreThan && c.AtMost <= planned.Sessions && !c.DryRun {
			return misuse("there are more than %d sessions, which are not counted\nhint: say with --at-most, above that number, how many may be ended", planned.Sessions)
		}
		if c.asks() && len(planned.Samples) > 0 {
			if err := printSessions(planned.Samples, true, time.Now()); err != nil {
				return err
			}
		}
		sure, err := c.sure(ctx, c.JSON, func(int) (plan, error) {
			return plan{What: "the sessions that these flags name", Sessions: planned.Sessions, More: planned.MoreThan}, nil
		})
		if err != nil || !sure {
			return err
		}
		job, err := a.RevokeFound(ctx, f, planned.Token, c.AtMost, c.Reason)
		if err != nil {
			return err
		}
		if job, err = a.watchJob(ctx, job); err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(os.Stdout, job)
		} else {
			_, err = fmt.Printf("%s ended (%s)\n", counted(job.Ended, "session"), job.ID)
		}
		if err == nil && job.State == api.JobStopped {
			err = fmt.Errorf("the revocation stopped: it may end %s, and there are more", counted(job.Limit, "session"))
		}
		return err
	})
}

// watchJob returns when the job is over. It goes on without the command.
func (a *admin) watchJob(ctx context.Context, job api.RevocationJob) (api.RevocationJob, error) {
	for job.State != api.JobDone && job.State != api.JobStopped {
		select {
		case <-ctx.Done():
			return job, errors.Join(ctx.Err(), fmt.Errorf("the revocation goes on at the server: %s", job.ID))
		case <-time.After(watchEvery):
		}
		next, err := a.RevocationJob(ctx, job.ID)
		if err != nil {
			return job, fmt.Errorf("the revocation %s goes on at the server: %w", job.ID, err)
		}
		job = next
	}
	return job, nil
}
