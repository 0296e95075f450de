#include "segments.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * A segment is straight in longitude and latitude, as GeoJSON has it. Its place nearest to a point
 * is found in three steps:
 *
 * 1. A packed R-tree (Kamel and Faloutsos 1993) is searched depth first, in a metric that is never
 *    longer than the ellipsoid's within reach of the point: degrees times the least metres that a
 *    degree has there. What is further away in it than a way that certainly exists is left out.
 * 2. On what is left the foot of the perpendicular is found by Gauss and Newton's iteration on the
 *    chord through the ellipsoid, without any projection.
 * 3. The chord becomes a length on the surface through the radius of curvature at its middle
 *    (Euler's formula): right to 0.1 mm at 100 km.
 */

#define FANOUT 16
#define MAX_LEVELS 9 /* 16 to the 8th is 2 to the 32nd, the most runs that there can be */
#define STACK (MAX_LEVELS * FANOUT)
#define HELD 32
#define STEPS 12
#define PROBES 32
#define LONGEST_RUN 64 /* segments; a file that says more would make the search quadratic */
#define RADIANS 0.017453292519943295

static const double TIE = 1e-6;       /* metres: two are equally near */
static const double SETTLED = 1e-7;   /* metres along the segment: the foot is found */
static const double STEEP = 1.5;      /* metrics apart: too near a pole for one start to do */
static const double LOOSE = 1.0001;   /* metrics apart: worth narrowing once something is found */
static const double LARGEST = 1.0e7;  /* metres: a quarter of the way around */

/* The point that is asked about; x and z are metres in the plane of its meridian. */
typedef struct {
    double lon, lat, sin_lat, cos_lat, x, z;
} origin;

/* A place, seen from the origin. */
typedef struct {
    double dx, dy, dz;                          /* metres, x in the origin's meridian */
    double sin_lat, cos_lat, sin_dlon, cos_dlon;
    double parallel, meridian;                  /* radii: of its parallel, of its meridian */
} place;

typedef struct {
    double squared, at; /* metres in the lower metric; where on the segment, from 0 to 1 */
    uint32_t vertex, run;
    bool is_lone;
} candidate;

typedef struct {
    uint64_t block;
    int level;
    float squared;
} branch;

typedef struct {
    uint64_t first[MAX_LEVELS], blocks[MAX_LEVELS];
    int count;
} levels;

typedef struct {
    const gw_segments *index;
    const levels *shape;
    origin from;
    double shift;         /* degrees: the turn of longitude that is looked at */
    double kx, ky;        /* the lower metric: metres per degree, at least */
    double stretch;       /* a way that is m in it is at most stretch * m long */
    double reach, limit;  /* metres: the metric holds within; what is further is of no interest */
    double squared_limit;
    candidate held[HELD];
    int held_count;
    candidate best;
    double best_shift, best_distance;
    bool has_best;
} search;

/* Angles within reach are small: their series beats the library fourfold and errs by 1e-17. */
static void sine_and_cosine(double angle, double *sine, double *cosine)
{
    double square = angle * angle;

    if (square < 4e-4) {
        *sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)));
        *cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0));
    } else {
        *sine = sin(angle);
        *cosine = cos(angle);
    }
}

static double prime_radius(const gw_segments *index, double sin_lat)
{
    return index->a / sqrt(1.0 - index->es * sin_lat * sin_lat);
}

static double meridian_radius(const gw_segments *index, double sin_lat)
{
    double w = 1.0 - index->es * sin_lat * sin_lat;

    return index->a * (1.0 - index->es) / (w * sqrt(w));
}

static origin origin_at(const gw_segments *index, double lon, double lat, double sine,
                        double cosine)
{
    double radius = prime_radius(index, sine);
    origin made = {lon, lat, sine, cosine, radius * cosine, radius * (1.0 - index->es) * sine};

    return made;
}

static place place_at(const gw_segments *index, const origin *from, double lon, double lat)
{
    place at;
    double sine, cosine, w, radius;

    sine_and_cosine((lat - from->lat) * RADIANS, &sine, &cosine);
    sine_and_cosine((lon - from->lon) * RADIANS, &at.sin_dlon, &at.cos_dlon);
    at.sin_lat = from->sin_lat * cosine + from->cos_lat * sine;
    at.cos_lat = from->cos_lat * cosine - from->sin_lat * sine;
    w = 1.0 - index->es * at.sin_lat * at.sin_lat;
    radius = index->a / sqrt(w);
    at.meridian = radius * (1.0 - index->es) / w;
    at.parallel = radius * at.cos_lat;
    at.dx = at.parallel * at.cos_dlon - from->x;
    at.dy = at.parallel * at.sin_dlon;
    at.dz = radius * (1.0 - index->es) * at.sin_lat - from->z;
    return at;
}

static double squared_chord(const place *at)
{
    return at->dx * at->dx + at->dy * at->dy + at->dz * at->dz;
}

/* Metres on the surface: the arc over the chord, on the circle that fits the ellipsoid best in the
 * middle between the two and in their direction. */
static double arc(const gw_segments *index, const origin *from, const place *at)
{
    double sine = (from->sin_lat + at->sin_lat) / 2.0;
    double cosine = (from->cos_lat + at->cos_lat) / 2.0;
    double prime = prime_radius(index, sine), meridian = meridian_radius(index, sine);
    double north = meridian * (at->sin_lat * from->cos_lat - at->cos_lat * from->sin_lat);
    double east = prime * cosine * at->sin_dlon;
    double both = north * north + east * east;
    double squared = squared_chord(at);
    double curvature, turn;

    if (!(both > 0.0))
        return sqrt(squared);
    curvature = (north * north / meridian + east * east / prime) / both;
    turn = squared * curvature * curvature;
    return sqrt(squared) * (1.0 + turn * (1.0 / 24.0 + turn * (3.0 / 640.0 + turn * 5.0 / 7168.0)));
}

/* ---- The lower metric ---- */

/* The metric for all ways of at most `reach` metres. A parallel's radius falls, and a meridian's
 * grows, towards the pole, so their bounds are at the ends of the latitudes within reach. */
static void measure_reach(search *s, double reach)
{
    const gw_segments *index = s->index;
    double flat = index->a * (1.0 - index->es); /* the least radius of a meridian */
    double sine, cosine, angle = reach / flat;
    double high = fabs(s->from.sin_lat), high_cos = s->from.cos_lat;
    double outer, outer_cos, inner, inner_cos, least, most, pole;

    sine_and_cosine(angle, &sine, &cosine);
    outer = high * cosine + high_cos * sine;
    outer_cos = high_cos * cosine - high * sine;
    inner = high * cosine - high_cos * sine;
    inner_cos = high_cos * cosine + high * sine;
    pole = angle < RADIANS * 89.0 ? outer_cos : 0.0;
    if (!(pole > 0.0)) {
        pole = 0.0;
        outer = 1.0;
    }
    if (!(inner > 0.0)) {
        inner = 0.0;
        inner_cos = 1.0;
    }
    least = prime_radius(index, outer) * pole;
    most = prime_radius(index, inner) * inner_cos;
    s->kx = least * RADIANS;
    s->ky = meridian_radius(index, inner) * RADIANS;
    s->stretch = fmax(most / least, meridian_radius(index, outer) * RADIANS / s->ky);
    s->reach = reach;
}

static void limit_to(search *s, double limit)
{
    double slack = limit + 2.0 * TIE;

    s->limit = limit;
    s->squared_limit = slack * slack * (1.0 + 1e-12);
}

/* A way of `length` metres exists: nothing longer matters, and the metric may be told so. */
static void exists(search *s, double length)
{
    if (!(length < s->limit))
        return;
    limit_to(s, length);
    if (s->stretch > LOOSE && length < s->reach / 4.0)
        measure_reach(s, length + 2.0 * TIE);
}

/* ---- Deciding ---- */

typedef struct {
    double lon, lat, dlon, dlat; /* degrees: where it begins, and how far it goes */
} segment;

static segment segment_of(const search *s, const candidate *one)
{
    const double *start = s->index->vertices + 2 * (size_t)one->vertex;
    const double *end = one->is_lone ? start : start + 2;
    segment made = {start[0], start[1], end[0] - start[0], end[1] - start[1]};

    return made;
}

static place place_on(const search *s, const origin *from, const segment *line, double at)
{
    return place_at(s->index, from, line->lon + at * line->dlon, line->lat + at * line->dlat);
}

/* The nearest of a row of places, for where the distance along a segment has many minima. */
static double probed(const search *s, const origin *from, const segment *line)
{
    double best = INFINITY, at = 0.0;

    for (int i = 0; i <= PROBES; i++) {
        place here = place_on(s, from, line, (double)i / PROBES);
        double squared = squared_chord(&here);

        if (squared < best) {
            best = squared;
            at = (double)i / PROBES;
        }
    }
    return at;
}

/* The foot of the perpendicular: where on the segment the chord is shortest. */
static double foot(const search *s, const origin *from, const segment *line, double at, place *here)
{
    double vlon = line->dlon * RADIANS, vlat = line->dlat * RADIANS;

    *here = place_on(s, from, line, at);
    for (int i = 0; i < STEPS; i++) {
        double east = here->parallel * vlon, north = here->meridian * vlat;
        double speed = east * east + north * north;
        double towards_x = here->dx * here->cos_dlon + here->dy * here->sin_dlon;
        double away_east = here->dy * here->cos_dlon - here->dx * here->sin_dlon;
        double away_north = here->dz * here->cos_lat - towards_x * here->sin_lat;
        double next, moved;

        if (!(speed > 0.0))
            break;
        next = at - (away_east * east + away_north * north) / speed;
        next = next > 0.0 ? (next < 1.0 ? next : 1.0) : 0.0;
        moved = next - at;
        if (!(moved * moved * speed > SETTLED * SETTLED))
            break;
        at = next;
        *here = place_on(s, from, line, at);
    }
    return at;
}

static bool is_before(const search *s, const candidate *a, const candidate *b)
{
    const uint32_t *runs = s->index->runs;
    uint32_t of_a = s->index->ranks[runs[4 * (size_t)a->run + 2]];
    uint32_t of_b = s->index->ranks[runs[4 * (size_t)b->run + 2]];

    return of_a != of_b ? of_a < of_b : a->vertex < b->vertex;
}

/* Finds the true distance of what is held, and keeps the best. */
static void settle(search *s)
{
    origin from = s->from;

    from.lon += s->shift;
    for (int i = 0; i < s->held_count; i++) {
        candidate *one = &s->held[i];
        segment line = segment_of(s, one);
        place here;
        double distance;

        if (!(one->squared <= s->squared_limit))
            continue;
        if (s->stretch > STEEP || !(s->kx > 0.0))
            one->at = probed(s, &from, &line);
        one->at = foot(s, &from, &line, one->at, &here);
        distance = arc(s->index, &from, &here);
        if (!(distance <= s->limit + TIE))
            continue;
        if (!s->has_best || distance < s->best_distance - TIE ||
            (distance <= s->best_distance + TIE && is_before(s, one, &s->best))) {
            s->best = *one;
            s->best_distance = distance;
            s->best_shift = s->shift;
            s->has_best = true;
        }
        exists(s, distance);
    }
    s->held_count = 0;
}

static void offer(search *s, const candidate *one)
{
    if (s->held_count == HELD)
        settle(s);
    s->held[s->held_count++] = *one;
    if (s->stretch > STEEP || !(s->kx > 0.0))
        settle(s);
    else
        exists(s, sqrt(one->squared) * s->stretch);
}

/* ---- Searching ---- */

/* Squared distance from the origin to a segment of the plane, and where its foot is. */
static double squared_to(double ax, double ay, double bx, double by, double *at)
{
    double vx = bx - ax, vy = by - ay, length = vx * vx + vy * vy;
    double along = -(ax * vx + ay * vy);
    double t = along > 0.0 && length > 0.0 ? (along < length ? along / length : 1.0) : 0.0;
    double x = ax + t * vx, y = ay + t * vy;

    *at = t;
    return x * x + y * y;
}

/* Whether a run lies in its ring, and the ring in the file. */
static bool is_whole(const gw_segments *index, const uint32_t *run)
{
    uint64_t first = run[0], last = first + run[1];

    return run[1] <= LONGEST_RUN && run[2] < index->feature_count && run[3] < index->ring_count &&
           index->rings[run[3]] <= first && last < index->rings[run[3] + 1] &&
           index->rings[run[3] + 1] <= index->vertex_count;
}

static void try_run(search *s, uint64_t number)
{
    const gw_segments *index = s->index;
    const uint32_t *run = index->runs + 4 * number;
    double lon = s->from.lon + s->shift, lat = s->from.lat;
    const double *vertex;
    double ax, ay;

    if (!is_whole(index, run))
        return;
    vertex = index->vertices + 2 * (size_t)run[0];
    ax = vertex[0] - lon;
    ay = vertex[1] - lat;
    for (uint32_t i = 0; i < run[1] || i == 0; i++) {
        candidate one = {.vertex = run[0] + i, .run = (uint32_t)number, .is_lone = run[1] == 0};
        double bx = ax, by = ay;

        if (!one.is_lone) {
            vertex += 2;
            bx = vertex[0] - lon;
            by = vertex[1] - lat;
        }
        one.squared = squared_to(ax * s->kx, ay * s->ky, bx * s->kx, by * s->ky, &one.at);
        if (one.squared <= s->squared_limit)
            offer(s, &one);
        ax = bx;
        ay = by;
    }
}

/* The squared distances to the 16 boxes of a block, rounded down. The point's own rounding to
 * single precision is taken off, so that they are bounds all the same. */
static void measure_block(const search *s, const float *block, float squared[FANOUT])
{
    double exact_lon = s->from.lon + s->shift;
    float lon = (float)exact_lon, lat = (float)s->from.lat;
    float lost_lon = (float)(fabs(exact_lon - (double)lon) * 1.000001);
    float lost_lat = (float)(fabs(s->from.lat - (double)lat) * 1.000001);
    float kx = (float)(s->kx * 0.999999), ky = (float)(s->ky * 0.999999);

    for (int i = 0; i < FANOUT; i++) {
        float west = block[i] - lon, east = lon - block[2 * FANOUT + i];
        float south = block[FANOUT + i] - lat, north = lat - block[3 * FANOUT + i];
        float x = (west > east ? west : east) - lost_lon;
        float y = (south > north ? south : north) - lost_lat;

        x = x > 0.0f ? x * kx : 0.0f;
        y = y > 0.0f ? y * ky : 0.0f;
        squared[i] = x * x + y * y;
    }
}

/* The boxes of a block within the limit, nearest last. */
static int sorted_children(const search *s, const float *block, int children, int order[FANOUT],
                           float squared[FANOUT])
{
    float limit = (float)(s->squared_limit * 1.000001);
    int count = 0;

    measure_block(s, block, squared);
    for (int i = 0; i < children; i++) {
        int at;

        if (!(squared[i] <= limit))
            continue;
        for (at = count++; at > 0 && squared[order[at - 1]] < squared[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return count;
}

static int children_of(uint64_t below, uint64_t block)
{
    uint64_t left = below - block * FANOUT;

    return left < FANOUT ? (int)left : FANOUT;
}

/* Depth first, the nearest box first. Numbers of blocks follow from the shape of the tree and
 * from nothing in the file, so that every block is visited at most once. */
static void search_tree(search *s)
{
    const levels *shape = s->shape;
    branch stack[STACK];
    int depth = 0;

    stack[depth++] = (branch){0, shape->count - 1, 0.0f};
    while (depth > 0) {
        branch top = stack[--depth];
        uint64_t below = top.level > 0 ? shape->blocks[top.level - 1] : s->index->run_count;
        const float *block;
        float squared[FANOUT];
        int order[FANOUT], count;

        if (!((double)top.squared <= s->squared_limit * 1.000001))
            continue;
        block = s->index->blocks + 4 * FANOUT * (shape->first[top.level] + top.block);
        count = sorted_children(s, block, children_of(below, top.block), order, squared);
        if (top.level > 0) {
            for (int i = 0; i < count; i++)
                stack[depth++] = (branch){top.block * FANOUT + (uint64_t)order[i], top.level - 1,
                                          squared[order[i]]};
        } else {
            for (int i = count - 1; i >= 0; i--)
                if ((double)squared[order[i]] <= s->squared_limit * 1.000001)
                    try_run(s, top.block * FANOUT + (uint64_t)order[i]);
        }
    }
    settle(s);
}

/* ---- The answer ---- */

/* The direction of a segment at a place, in metres east and north; its length is 1 or 0. */
static void direction(const double *from, const place *here, double *east, double *north)
{
    double x = (from[2] - from[0]) * here->parallel, y = (from[3] - from[1]) * here->meridian;
    double length = sqrt(x * x + y * y);

    *east = length > 0.0 ? x / length : 0.0;
    *north = length > 0.0 ? y / length : 0.0;
}

/* The vertex of the ring before which, or after which, the line goes on at an end of a segment;
 * -1 where it ends there. A closed ring goes on at its first vertex. */
static int64_t neighbour(const search *s, const uint32_t *run, uint32_t vertex, double at)
{
    const double *vertices = s->index->vertices;
    uint64_t low = s->index->rings[run[3]], high = s->index->rings[run[3] + 1];
    bool is_closed = high - low > 2 && vertices[2 * low] == vertices[2 * (high - 1)] &&
                     vertices[2 * low + 1] == vertices[2 * (high - 1) + 1];

    if (at <= 0.0 && vertex > low)
        return (int64_t)vertex - 1;
    if (at <= 0.0 && is_closed)
        return (int64_t)high - 2;
    if (at >= 1.0 && (uint64_t)vertex + 2 < high)
        return (int64_t)vertex + 1;
    if (at >= 1.0 && is_closed)
        return (int64_t)low;
    return -1;
}

/* How far the point lies to the left of the line. At a vertex the two segments decide together, by
 * the sum of their directions: one alone is wrong beyond a sharp corner (the pseudonormals of
 * Baerentzen and Aanaes 2005). */
static double offset_of(const search *s, const place *here)
{
    const uint32_t *run = s->index->runs + 4 * (size_t)s->best.run;
    const double *vertices = s->index->vertices;
    double towards_x = here->dx * here->cos_dlon + here->dy * here->sin_dlon;
    double px = -(here->dy * here->cos_dlon - here->dx * here->sin_dlon);
    double py = -(here->dz * here->cos_lat - towards_x * here->sin_lat);
    double x, y;
    int64_t beside;

    if (s->best.is_lone)
        return NAN;
    direction(vertices + 2 * (size_t)s->best.vertex, here, &x, &y);
    beside = neighbour(s, run, s->best.vertex, s->best.at);
    if (beside >= 0) {
        double more_x, more_y, length;

        direction(vertices + 2 * (size_t)beside, here, &more_x, &more_y);
        length = hypot(x + more_x, y + more_y);
        if (length > 1e-9) { /* else the line turns back on itself: there is no outside */
            x = (x + more_x) / length;
            y = (y + more_y) / length;
        }
    }
    return x == 0.0 && y == 0.0 ? NAN : x * py - y * px;
}

/* Metres from a segment's first vertex to a place on it. */
static double along(const search *s, const segment *line, const place *start, double at)
{
    origin from = origin_at(s->index, line->lon, line->lat, start->sin_lat, start->cos_lat);
    place end = place_on(s, &from, line, at);

    return arc(s->index, &from, &end);
}

static void answer(search *s, gw_nearest *found)
{
    const candidate *best = &s->best;
    segment line = segment_of(s, best);
    origin from = s->from;
    place here, start;
    double measure, next;

    from.lon += s->best_shift;
    here = place_on(s, &from, &line, best->at);
    start = place_on(s, &from, &line, 0.0);
    measure = s->index->measures[best->vertex];
    next = best->is_lone ? measure : s->index->measures[best->vertex + 1];
    found->vertex = best->vertex;
    found->feature = s->index->runs[4 * (size_t)best->run + 2];
    found->lon = line.lon + best->at * line.dlon;
    found->lat = line.lat + best->at * line.dlat;
    found->distance = s->best_distance;
    found->measure = best->at >= 1.0 ? next : fmin(measure + along(s, &line, &start, best->at), next);
    found->offset = offset_of(s, &here);
}

static void find_one(search *s, double lon, double lat, double reach, gw_nearest *found)
{
    *found = (gw_nearest){-1, -1, NAN, NAN, NAN, NAN, NAN};
    if (!(isfinite(lon) && fabs(lat) <= 90.0))
        return;
    lon = remainder(lon, 360.0);
    s->from = origin_at(s->index, lon, lat, sin(lat * RADIANS), cos(lat * RADIANS));
    s->held_count = 0;
    s->has_best = false;
    measure_reach(s, reach);
    limit_to(s, reach);
    for (int turn = 0; turn < 3; turn++) { /* as it is, and across the antimeridian */
        s->shift = turn == 0 ? 0.0 : turn == 1 ? -360.0 : 360.0;
        search_tree(s);
    }
    if (s->has_best && s->best_distance <= reach)
        answer(s, found);
}

/* The levels of blocks over so many runs; false where the file doesn't hold just these. */
static bool shape_of(const gw_segments *index, levels *shape)
{
    uint64_t below = index->run_count, first = 0;

    shape->count = 0;
    do {
        uint64_t blocks = (below + FANOUT - 1) / FANOUT;

        if (shape->count == MAX_LEVELS || blocks > index->block_count - first)
            return false;
        shape->first[shape->count] = first;
        shape->blocks[shape->count++] = blocks;
        first += blocks;
        below = blocks;
    } while (below > 1);
    return first == index->block_count;
}

int gw_segments_nearest(const gw_segments *index, const double *points, int64_t count,
                        double reach, gw_nearest *found)
{
    levels shape;
    search s = {.index = index, .shape = &shape};

    if (index->run_count > UINT32_MAX || !shape_of(index, &shape))
        return -1;
    if (!(reach <= LARGEST))
        reach = LARGEST;
    for (int64_t i = 0; i < count; i++)
        if (index->run_count > 0)
            find_one(&s, points[2 * i], points[2 * i + 1], reach, found + i);
        else
            found[i] = (gw_nearest){-1, -1, NAN, NAN, NAN, NAN, NAN};
    return 0;
}
