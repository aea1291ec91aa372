/* Small programs with the kinds of work that CoreMark has, written for qdeploy: a linked list that is
   searched and sorted, integer matrices, a state machine over text, and a checksum.

   Each takes a seed and gives a number that depends on all it did; equal on every core. */

#include <stdint.h>

enum { ITEMS = 40, SIDE = 10, TEXT = 200, BLOCK = 128 };

struct item {
    struct item *next;
    int16_t key;
    int16_t value;
};

static struct item items[ITEMS];
static int16_t left[SIDE * SIDE], right[SIDE * SIDE];
static int32_t product[SIDE * SIDE];
static uint8_t text[TEXT];
static uint8_t block[BLOCK];

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static struct item *merged(struct item *a, struct item *b)
{
    struct item head;
    struct item *tail = &head;
    while (a && b) {
        if (a->key <= b->key) {
            tail->next = a;
            a = a->next;
        } else {
            tail->next = b;
            b = b->next;
        }
        tail = tail->next;
    }
    tail->next = a ? a : b;
    return head.next;
}

static struct item *sorted(struct item *list)
{
    if (!list || !list->next) {
        return list;
    }
    struct item *slow = list;
    for (struct item *fast = list->next; fast && fast->next; fast = fast->next->next) {
        slow = slow->next;
    }
    struct item *half = slow->next;
    slow->next = 0;
    return merged(sorted(list), sorted(half));
}

uint32_t list_work(uint32_t seed)
{
    struct item *list = 0;
    for (int i = 0; i < ITEMS; i++) {
        items[i].key = (int16_t)(next_random(&seed) & 0xff);
        items[i].value = (int16_t)i;
        items[i].next = list;
        list = &items[i];
    }
    uint32_t result = 0;
    for (int key = 0; key < 256; key += 5) {
        struct item *found = list;
        while (found && found->key != key) {
            found = found->next;
        }
        result = result * 31 + (found ? (uint32_t)found->value : 99);
    }
    for (struct item *i = sorted(list); i; i = i->next) {
        result = result * 31 + (uint32_t)i->value;
    }
    return result;
}

uint32_t matrix_work(uint32_t seed)
{
    for (int i = 0; i < SIDE * SIDE; i++) {
        left[i] = (int16_t)next_random(&seed);
        right[i] = (int16_t)next_random(&seed);
    }
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++) {
                sum += (left[row * SIDE + k] >> 4) * (right[k * SIDE + column] >> 4);
            }
            product[row * SIDE + column] = sum;
        }
    }
    uint32_t result = 0;
    int32_t last = 0;
    for (int i = 0; i < SIDE * SIDE; i++) {
        result += product[i] > last ? 10u : (uint32_t)product[i] & 0xf;
        last = product[i];
    }
    return result;
}

enum state { START, SIGN, WHOLE, FRACTION, EXPONENT, WRONG, STATES };

static enum state step(enum state state, uint8_t symbol)
{
    int digit = symbol >= '0' && symbol <= '9';
    switch (state) {
    case START:
        if (digit) {
            return WHOLE;
        }
        if (symbol == '+' || symbol == '-') {
            return SIGN;
        }
        return symbol == '.' ? FRACTION : WRONG;
    case SIGN:
        return digit ? WHOLE : symbol == '.' ? FRACTION : WRONG;
    case WHOLE:
        if (symbol == '.') {
            return FRACTION;
        }
        return digit ? WHOLE : symbol == 'e' ? EXPONENT : WRONG;
    case FRACTION:
        return digit ? FRACTION : symbol == 'e' ? EXPONENT : WRONG;
    case EXPONENT:
        return digit || symbol == '-' ? EXPONENT : WRONG;
    default:
        return WRONG;
    }
}

uint32_t state_work(uint32_t seed)
{
    static const uint8_t alphabet[16] = "0123456789+-.e,,";
    for (int i = 0; i < TEXT; i++) {
        text[i] = alphabet[next_random(&seed) & 15];
    }
    uint32_t ends[STATES] = {0};
    uint32_t steps[STATES] = {0};
    enum state state = START;
    for (int i = 0; i < TEXT; i++) {
        if (text[i] == ',') {
            ends[state]++;
            state = START;
        } else {
            state = step(state, text[i]);
            steps[state]++;
        }
    }
    uint32_t result = 0;
    for (int i = 0; i < STATES; i++) {
        result = result * 31 + ends[i] * 7 + steps[i];
    }
    return result;
}

uint32_t checksum_work(uint32_t seed)
{
    for (int i = 0; i < BLOCK; i++) {
        block[i] = (uint8_t)next_random(&seed);
    }
    uint32_t crc = 0xffff;
    for (int i = 0; i < BLOCK; i++) {
        crc ^= block[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1;
        }
    }
    return crc;
}
