package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxParams is the most parameters a path may have; a fixed array keeps them off the heap.
const maxParams = 4

// node is one segment of the tree of paths.
type node struct {
	static map[string]*node
	param  *node
	routes []*compiled // one per method
}

// compiled is a route with the names of its parameters in order.
type compiled struct {
	Route
	names []string
}

// add puts a route into the tree.
func (n *node) add(r Route) error {
	c := &compiled{Route: r}
	if !strings.HasPrefix(r.Path, "/") || r.Handler == nil || r.Method == "" {
		return fmt.Errorf("route %s %s: incomplete", r.Method, r.Path)
	}
	for seg := range strings.SplitSeq(r.Path[1:], "/") {
		if strings.HasPrefix(seg, "{") && strings.HasSuffix(seg, "}") {
			c.names = append(c.names, seg[1:len(seg)-1])
			if n.param == nil {
				n.param = &node{}
			}
			n = n.param
			continue
		}
		next := n.static[seg]
		if next == nil {
			next = &node{}
			if n.static == nil {
				n.static = map[string]*node{}
			}
			n.static[seg] = next
		}
		n = next
	}
	if len(c.names) > maxParams {
		return fmt.Errorf("route %s %s: more than %d parameters", r.Method, r.Path, maxParams)
	}
	if n.find(r.Method) != nil {
		return fmt.Errorf("route %s %s: declared twice", r.Method, r.Path)
	}
	n.routes = append(n.routes, c)
	return nil
}

// match finds the node for a path without its leading slash. With escaped, segments are decoded one by one, so that a
// slash within one never divides it. vals receives the parameters; used counts them.
func (n *node) match(path string, escaped bool, vals *[maxParams]string, used int) *node {
	seg, rest, more := strings.Cut(path, "/")
	if escaped && strings.IndexByte(seg, '%') >= 0 {
		var err error
		if seg, err = url.PathUnescape(seg); err != nil {
			return nil // net/http has refused such a URL before
		}
	}
	if next := n.static[seg]; next != nil {
		if !more {
			if len(next.routes) > 0 {
				return next
			}
		} else if hit := next.match(rest, escaped, vals, used); hit != nil {
			return hit
		}
	}
	if n.param == nil || used == maxParams {
		return nil
	}
	vals[used] = seg
	if more {
		return n.param.match(rest, escaped, vals, used+1)
	}
	if len(n.param.routes) == 0 {
		return nil
	}
	return n.param
}

// find returns the route for a method; HEAD is answered by GET.
func (n *node) find(method string) *compiled {
	for _, c := range n.routes {
		if c.Method == method {
			return c
		}
	}
	if method == http.MethodHead {
		return n.find(http.MethodGet)
	}
	return nil
}

// allow is the Allow header for the node.
func (n *node) allow() string {
	methods := []string{http.MethodOptions}
	for _, c := range n.routes {
		methods = append(methods, c.Method)
		if c.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// lookup finds the node for a URL and its parameters; nil if there is none. A URL's RawPath is set only when its Path
// does not say which slashes divide, so most requests are matched without decoding anything.
func (n *node) lookup(u *url.URL, vals *[maxParams]string) *node {
	path, escaped := u.Path, false
	if u.RawPath != "" {
		path, escaped = u.RawPath, true
	}
	if !strings.HasPrefix(path, "/") {
		return nil
	}
	return n.match(path[1:], escaped, vals, 0)
}
