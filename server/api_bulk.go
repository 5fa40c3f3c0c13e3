package server

import (
	"net/http"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/issuer"
	"github.com/counterfoil/counterfoil/rights"
)

// adminRevokeFound is a revocation by filter: the dry run, or the job.
func (s *Server) adminRevokeFound(w http.ResponseWriter, r *http.Request, who caller, b api.Revocation) error {
	if b.Scope != "" || b.ID != "" || b.Wait != "" {
		return badRequest("filter goes with neither scope, id nor wait")
	}
	if b.DryRun == (b.Token != "") {
		return badRequest("with filter there is either dry_run, or the token that a dry run gave")
	}
	if b.DryRun && b.AtMost != 0 {
		return badRequest("at_most goes with token, not with dry_run")
	}
	f, err := readFilter(b.Filter)
	if err != nil {
		return err
	}
	end, err := s.plans.begin(who) // it counts all that the filter is for
	if err != nil {
		return err
	}
	defer end()
	if b.DryRun {
		plan, err := s.issuer.PlanRevocation(r.Context(), who.actor, f, who.by)
		if err != nil {
			return err
		}
		answer := api.RevocationPlan{Sessions: plan.Sessions, MoreThan: plan.More, Samples: []api.SessionRow{}, Token: plan.Token, Expires: plan.Expires.UTC()}
		for _, row := range plan.Samples {
			if !row.Damaged {
				answer.Samples = append(answer.Samples, viewRow(row))
			}
		}
		if answer.Named, err = s.called(r.Context(), subjects(answer.Samples)...); err != nil {
			return err
		}
		return writeJSON(w, http.StatusOK, answer)
	}
	job, err := s.issuer.RevokeFound(r.Context(), who.actor, f, b.Token, b.AtMost, act(w, r, who.by, b.Reason))
	if err == nil && s.offline { // nothing runs in the background
		if err = s.issuer.WorkJobs(r.Context()); err == nil {
			job, err = s.issuer.Job(r.Context(), job.ID)
		}
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", s.base+"/v1/admin/revocations/"+job.ID)
	return writeJSON(w, http.StatusAccepted, viewJob(&job))
}

// readFilter reads a filter strictly: a member that is not known could be one that a caller
// relies on.
func readFilter(data []byte) (f issuer.Filter, err error) {
	var b api.SessionFilter
	if err = bind(data, &b); err == nil {
		f, err = sessionFilter(pageOf{filter: b.Query()})
	}
	if err != nil {
		return f, inside("filter", err)
	}
	return f, nil
}

func viewJob(j *issuer.Job) api.RevocationJob {
	v := api.RevocationJob{
		ID: j.ID, State: "running", Planned: j.Planned, MoreThan: j.More, Limit: j.Limit, Ended: j.Ended, By: j.By, Reason: j.Reason, Created: j.Created.UTC(), Updated: j.Updated.UTC(),
		Filter: api.SessionFilter{User: j.Filter.Subject, Client: j.Filter.Client, Device: j.Filter.Device, ACR: j.Filter.ACR, Since: j.Filter.Since.UTC()},
	}
	if j.Filter.Address.IsValid() {
		v.Filter.Address = j.Filter.Address.String()
	}
	if j.Filter.Carrier != (issuer.Filter{}.Carrier) {
		v.Filter.Carrier = j.Filter.Carrier.String()
	}
	switch {
	case j.Stopped:
		v.State = api.JobStopped
	case j.Done:
		v.State = api.JobDone
	}
	return v
}

// adminRevocation says how far a revocation by filter is. Who ordered it, and why, is for who may see the
// audit trail: entries of the log name the job to everybody who follows them.
func (s *Server) adminRevocation(w http.ResponseWriter, r *http.Request, who caller) error {
	id, err := pathID(r, "id")
	if err != nil {
		return err
	}
	job, err := s.issuer.Job(r.Context(), id)
	if err != nil {
		return err
	}
	answer := viewJob(&job)
	if !who.actor.May(rights.Audit) {
		answer.By, answer.Reason = "", ""
	}
	by, _ := audit.SubjectOf(answer.By)
	if answer.Named, err = s.called(r.Context(), by, job.Filter.Subject); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}
