// The worker-pool pattern in Go, as a subject of the Rust crate beside it: the same jobs, the same worker function, the
// same loops. Buffered channels, one goroutine per worker, GOMAXPROCS as it is by default.
//
//	main SHAPE WORKERS JOB_CAPACITY RESULT_CAPACITY PAUSE_NANOSECONDS < jobs
//
// The jobs come as little-endian 64-bit words. Two passes are made, the second one measured. Prints wall time, CPU time
// (both in nanoseconds) and the sum of the results, and on a second line the time of each round trip.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	start      = 0x9E3779B97F4A7C15
	multiplier = 0xD1342543DE82EF95
)

//go:noinline
func work(job uint64) uint64 {
	value := job ^ start
	for steps := job >> 32; steps > 0; steps-- {
		value = (value ^ (value >> 32)) * multiplier
	}
	return value
}

func worker(jobs <-chan uint64, results chan<- uint64) {
	for job := range jobs {
		results <- work(job)
	}
}

// As in the Rust side's `Reading`: the clock first, the CPU meter after a rest.
const rest = 2 * time.Millisecond

type reading struct {
	cpu   int64
	start time.Time
}

func startReading() reading {
	return reading{cpuTime(), time.Now()}
}

func (r reading) stop() (wall, cpu int64) {
	wall = time.Since(r.start).Nanoseconds()
	time.Sleep(rest)
	return wall, cpuTime() - r.cpu
}

func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

type outcome struct {
	wall, cpu int64
	sum       uint64
}

func fillThenDrain(list []uint64, jobs chan<- uint64, results <-chan uint64) outcome {
	reading := startReading()
	for _, job := range list {
		jobs <- job
	}
	sum := uint64(0)
	for range list {
		sum += <-results
	}
	wall, cpu := reading.stop()
	return outcome{wall, cpu, sum}
}

func stream(list []uint64, jobs chan<- uint64, results <-chan uint64) outcome {
	reading := startReading()
	go func() {
		for _, job := range list {
			jobs <- job
		}
	}()
	sum := uint64(0)
	for range list {
		sum += <-results
	}
	wall, cpu := reading.stop()
	return outcome{wall, cpu, sum}
}

func roundTrips(list []uint64, jobs chan<- uint64, results <-chan uint64, pause time.Duration, trips []int64) outcome {
	reading := startReading()
	sum := uint64(0)
	for i, job := range list {
		if pause > 0 {
			time.Sleep(pause)
		}
		start := time.Now()
		jobs <- job
		sum += <-results
		trips[i] = time.Since(start).Nanoseconds()
	}
	wall, cpu := reading.stop()
	return outcome{wall, cpu, sum}
}

func number(text string) int {
	value, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	shape, workers := os.Args[1], number(os.Args[2])
	jobs := make(chan uint64, number(os.Args[3]))
	results := make(chan uint64, number(os.Args[4]))
	pause := time.Duration(number(os.Args[5]))

	bytes, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	list := make([]uint64, len(bytes)/8)
	for i := range list {
		list[i] = binary.LittleEndian.Uint64(bytes[8*i:])
	}
	trips := make([]int64, len(list))

	var running sync.WaitGroup
	for id := 0; id < workers; id++ {
		running.Add(1)
		go func() {
			defer running.Done()
			worker(jobs, results)
		}()
	}

	var measured outcome
	switch shape {
	case "fill-then-drain":
		fillThenDrain(list, jobs, results)
		measured = fillThenDrain(list, jobs, results)
	case "stream":
		stream(list, jobs, results)
		measured = stream(list, jobs, results)
	case "round-trips":
		roundTrips(list, jobs, results, 0, trips)
		measured = roundTrips(list, jobs, results, pause, trips)
	default:
		panic("unknown shape " + shape)
	}

	close(jobs)
	running.Wait()
	if len(results) > 0 {
		panic("more results than jobs")
	}
	fmt.Println(measured.wall, measured.cpu, measured.sum)
	if shape == "round-trips" {
		for _, trip := range trips {
			fmt.Print(trip, " ")
		}
		fmt.Println()
	}
}
