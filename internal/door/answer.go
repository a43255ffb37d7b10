package door

import (
	"fmt"
	"net/http"
	"runtime/debug"
)

// Recorder notes what is written to a client.
type Recorder struct {
	http.ResponseWriter
	Status int   // 0 until the answer has begun
	Bytes  int64 // of its body
}

// WriteHeader implements [http.ResponseWriter].
func (r *Recorder) WriteHeader(status int) {
	if r.Status == 0 {
		r.Status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *Recorder) Write(p []byte) (int, error) {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.Bytes += int64(n)
	return n, err
}

// Unwrap is for [http.ResponseController].
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Safely answers a request, and makes a panic an error, but for the one that aborts an answer.
func Safely(answer func() error) (err error) {
	defer func() {
		switch thrown := recover(); thrown {
		case nil:
		case http.ErrAbortHandler:
			panic(thrown)
		default:
			err = fmt.Errorf("panic: %v\n%s", thrown, debug.Stack())
		}
	}()
	return answer()
}
