package bench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"rapport.example/internal/api/admin"
	"rapport.example/internal/export"
	"rapport.example/internal/job"
)

// export measures a file of all people: from the order to its end, then fetching it. Memory is the most that the server has meanwhile,
// the caches of the rows before included, and how much of that was not there when the export was ordered.
func (x *run) export(ctx context.Context) error {
	if _, err := x.child.settled(ctx); err != nil {
		return err
	}
	if err := x.high(); err != nil {
		return err
	}
	before, err := x.child.forget()
	if err != nil {
		return err
	}
	began := time.Now()
	e, err := x.exported(ctx)
	if err != nil {
		return err
	}
	took := time.Since(began)
	began = time.Now()
	n, err := x.child.fetch(ctx, "exports/"+strconv.FormatInt(e.ID, 10)+"/file")
	if err == nil && (n != e.Size || e.Rows < x.seed.people) {
		err = fmt.Errorf("%d people in %d bytes were exported, %d bytes came", e.Rows, e.Size, n)
	}
	if err != nil {
		return err
	}
	fetched := time.Since(began)
	peak, err := x.child.peak()
	if err != nil {
		return err
	}
	x.r.add(key{"export: people", 0, "rows/s"}, float64(e.Rows)/took.Seconds())
	x.r.add(key{"export: fetching the file", 0, "MB/s"}, float64(n)/1e6/fetched.Seconds())
	x.r.add(key{"export: peak memory of the server", 0, "MB"}, peak)
	x.r.add(key{"export: memory beyond what was in use", 0, "MB"}, max(0, peak-before))
	return x.high()
}

// exported orders an export and waits for its end.
func (x *run) exported(ctx context.Context) (admin.Export, error) {
	var e admin.Export
	err := x.child.call(ctx, http.MethodPost, "exports/people", admin.PeopleExportRequest{Format: export.CSV}, &e)
	for err == nil && e.State != job.Done {
		if e.State == job.Failed {
			return e, fmt.Errorf("the export failed: %s", e.Error)
		}
		if err = pause(ctx, 20*time.Millisecond); err == nil {
			err = x.child.call(ctx, http.MethodGet, "exports/"+strconv.FormatInt(e.ID, 10), nil, &e)
		}
	}
	return e, err
}

// high keeps the most memory that the server has had so far, for forget makes it start anew.
func (x *run) high() error {
	peak, err := x.child.peak()
	x.r.PeakMB = max(x.r.PeakMB, peak)
	return err
}

// forget lets the most memory that the server has had count from now on, and tells how much it has, in MB.
func (c *child) forget() (float64, error) {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", c.cmd.Process.Pid), []byte("5"), 0o200); err != nil {
		return 0, fmt.Errorf("count the server's memory anew (this needs Linux): %w", err)
	}
	return c.peak()
}

// fetch reads a file to its end and tells its length.
func (c *child) fetch(ctx context.Context, path string) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.addr+"/admin/v1/"+path, http.NoBody)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+c.admin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close() //nolint:errcheck // read only
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return io.Copy(io.Discard, res.Body)
}
